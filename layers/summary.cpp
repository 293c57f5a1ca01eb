#include "layers/summary.h"

#include <algorithm>
#include <array>
#include <map>

#include "core/error.h"
#include "core/shift/codes.h"
#include "layers/weighted_layer.h"

namespace ds {
namespace {

/// Parameters, bytes and, where it has a weight, work of one layer that gave `output`.
LayerSummary summarize_layer(const std::string& path, Module& module, const Shape& output) {
  LayerSummary entry{.path = path, .description = module.describe(), .output = output};
  for (const NamedBuffer& buffer : module.named_buffers()) {
    entry.bytes += static_cast<int64_t>(buffer.value->bytes());
  }
  const auto* layer = dynamic_cast<const WeightedLayer*>(&module);
  if (layer == nullptr) {
    for (const Variable& parameter : module.parameters()) {
      entry.parameters += parameter.value().numel();
      entry.bytes += static_cast<int64_t>(parameter.value().bytes());
    }
    return entry;
  }
  const Shape& weight = layer->weight().shape();
  const auto format = layer->weight().format();
  const int64_t work = output.numel() * (weight.numel() / weight[0]);
  if (format) {
    entry.shift_adds = format->terms * work;
  } else {
    entry.multiply_accumulates = work;
  }
  entry.parameters = weight.numel();
  entry.bytes += format ? packed_bytes(weight.numel(), *format) : packed_bytes(weight.numel(), 32);
  if (layer->bias().defined()) {
    entry.parameters += layer->bias().value().numel();
    entry.bytes += static_cast<int64_t>(layer->bias().value().bytes());
  }
  return entry;
}

/// 12345678 as "12,345,678".
std::string grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace

Summary summarize(Module& model, const Shape& input) {
  DS_CHECK(input.rank() == 3, "[summary] input has shape {}, expected H,W,C", input.str());
  const std::vector<Variable> parameters = model.parameters();
  const Device device = parameters.empty() ? Device{} : parameters.front().device();
  const Graph graph = trace(model, Tensor::zeros({1, input[0], input[1], input[2]}, DType::kF32, device));
  std::map<std::string, Module*> leaves;
  model.for_each([&](const std::string& path, Module& module) {
    if (!module.has_children()) leaves[path] = &module;
  });
  std::vector<std::string> order;
  std::map<std::string, Shape> outputs;  // of the last call of each layer
  for (const TracedNode& node : graph.nodes) {
    if (!leaves.contains(node.scope)) continue;
    if (!outputs.contains(node.scope)) order.push_back(node.scope);
    outputs[node.scope] = graph.values[static_cast<size_t>(node.output)].value.shape();
  }
  Summary summary{.model = model.describe(), .layers = {}};
  for (const std::string& path : order) {
    const LayerSummary& layer =
        summary.layers.emplace_back(summarize_layer(path, *leaves.at(path), outputs.at(path)));
    summary.parameters += layer.parameters;
    summary.multiply_accumulates += layer.multiply_accumulates;
    summary.shift_adds += layer.shift_adds;
    summary.bytes += layer.bytes;
  }
  return summary;
}

std::string Summary::str() const {
  size_t path = 5;
  size_t description = 11;
  for (const LayerSummary& layer : layers) {
    path = std::max(path, layer.path.size());
    description = std::max(description, layer.description.size());
  }
  const auto row = [&](const std::array<std::string, 7>& cells) {
    return fmt::format("{:<{}}  {:<{}}  {:<16}  {:>11}  {:>13}  {:>13}  {:>11}\n", cells[0], path, cells[1],
                       description, cells[2], cells[3], cells[4], cells[5], cells[6]);
  };
  std::string text = model + "\n";
  text += row({"layer", "description", "output", "parameters", "multiply-acc.", "shift-adds", "bytes"});
  for (const LayerSummary& layer : layers) {
    text += row({layer.path, layer.description, layer.output.str(), grouped(layer.parameters),
                 grouped(layer.multiply_accumulates), grouped(layer.shift_adds), grouped(layer.bytes)});
  }
  return text + row({"total", "", "", grouped(parameters), grouped(multiply_accumulates), grouped(shift_adds),
                     grouped(bytes)});
}

}  // namespace ds
