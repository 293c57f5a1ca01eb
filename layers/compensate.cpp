#include "layers/compensate.h"

#include <algorithm>
#include <any>
#include <chrono>
#include <cmath>
#include <map>
#include <utility>

#include "autograd/functions.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/value_counts.h"
#include "layers/compensation/layer_rounding.h"
#include "layers/compensation/moments.h"
#include "layers/compensation/output_sums.h"
#include "layers/compensation/stream_pair.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kBatchBytes = int64_t{64} << 20;  // of the windows of images that are computed together
constexpr int64_t kWideDepth = 1024;                // of windows whose matrices are worth making room for

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Compensator {
 public:
  Compensator(Module& model, Tensor images, const CompensateOptions& options,
              const ConvertPredicate& predicate)
      : model_(model),
        options_(options),
        plan_(plan_conversion(model, options.conversion, predicate)),
        graph_(trace(model, images.slice(0, 1))),
        layers_(first_calls()),
        streams_(graph_, std::move(images), prepare_streams()) {}

  CompensateReport run() {
    const Clock::time_point start = Clock::now();
    CompensateReport report;
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
      if (layers_[node] != nullptr) report.layers.push_back(convert(node, *layers_[node]));
      streams_.pass(node);
    }
    apply();
    ConvertOptions conversion = options_.conversion;
    for (const auto& [path, offset] : offsets_) conversion.layer_offsets[path] = offset;
    report.conversion = convert_to_shift(model_, conversion, chosen());
    report.seconds = seconds_since(start);
    return report;
  }

 private:
  /// By node, the layer that it is the first call of, if that is to be converted.
  std::vector<const PlannedLayer*> first_calls() const {
    std::vector<const PlannedLayer*> calls;
    for (const TracedNode& node : graph_.nodes) {
      const auto found = std::ranges::find_if(
          plan_, [&](const PlannedLayer& layer) { return layer.format && layer.named.path == node.scope; });
      const bool weighted = node.kind == "conv2d" || node.kind == "linear";
      const PlannedLayer* layer = weighted && found != plan_.end() ? &*found : nullptr;
      calls.push_back(std::ranges::count(calls, layer) == 0 ? layer : nullptr);
    }
    return calls;
  }

  /// Images are taken together as long as their values, and windows, have kBatchBytes. The recording's image,
  /// and what was computed from it, are given up.
  StreamOptions prepare_streams() {
    StreamOptions result{.kept_bytes = options_.kept_bytes};
    int64_t largest = 1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      result.readers.push_back(layers_[i] != nullptr);
      largest = std::max(largest, window_bytes(graph_.nodes[i]));
    }
    for (TracedValue& value : graph_.values) {
      result.bytes.push_back(static_cast<int64_t>(value.value.bytes()));
      if (value.producer < 0) continue;
      largest = std::max(largest, result.bytes.back());
      value.value = {};
    }
    graph_.values[0].value = {};
    result.batch = std::clamp<int64_t>(kBatchBytes / largest, 1, options_.batch);
    return result;
  }

  /// Of one image.
  int64_t window_bytes(const TracedNode& node) const {
    if (node.kind != "conv2d") return 0;
    const Shape& y = graph_.values[at(node.output)].value.shape();
    const Shape& w = graph_.values[at(node.inputs[1])].value.shape();
    return y.numel() / w[0] * (w.numel() / w[0]) * static_cast<int64_t>(sizeof(float));
  }

  CompensatedLayer convert(size_t index, const PlannedLayer& layer) {
    const Clock::time_point start = Clock::now();
    const TracedNode& node = graph_.nodes[index];
    const int bias = bias_leaf(node);
    const int norm = following_norm(index);
    streams_.keep(node.inputs[0]);
    if (node.inputs[0] != 0) round_activations(node);
    const LayerToRound task{.path = node.scope,
                            .format = *layer.format,
                            .weight = streams_.of_float().constant(node.inputs[1]),
                            .mean_is_free = norm >= 0 || bias >= 0,
                            .norm_follows = norm >= 0};
    const std::vector<ChannelBlock> blocks = blocks_of(node, task.weight);
    const RoundedFilters best = round(node, task, blocks);
    const OutputStatistics& statistics = best.statistics;
    offsets_[node.scope] = best.format.offset;
    streams_.converted().set_constant(node.inputs[1], best.weight);
    new_weights_[node.scope] = best.weight;
    if (norm >= 0) {
      match_norm(graph_.nodes[at(norm)], node, statistics);
    } else if (bias >= 0) {
      match_bias(node.scope, bias, statistics);
    }
    const double variance = sum_of(statistics.float_variance);
    const double signal = variance > 0.0 ? variance : 1.0;
    return {.path = node.scope,
            .plain_error = std::sqrt(sum_of(statistics.plain_error) / signal),
            .error = std::sqrt(sum_of(statistics.error) / signal),
            .blocks = static_cast<int64_t>(blocks.size()),
            .seconds = seconds_since(start)};
  }

  /// Of the layers that read the same value, the first one does it.
  void round_activations(const TracedNode& reader) {
    const int value = reader.inputs[0];
    if (!options_.activations || streams_.converted().rounds(value)) return;
    ValueCounts counts;
    streams_.for_batches([&](int64_t begin, int64_t end) {
      counts.add(streams_.converted().rows(value, begin, end).span<float>());
    });
    DS_CHECK(std::isfinite(counts.lowest()) && std::isfinite(counts.highest()),
             "[compensate] the values that layer {} reads are not finite", reader.scope);
    const auto [bits, fraction_bits] = *options_.activations;
    const bool has_sign = fraction_bits || counts.lowest() < 0.0;
    const int64_t low = has_sign ? -(int64_t{1} << (bits - 1)) : 0;
    const int64_t high = low + (int64_t{1} << bits) - 1;
    const int chosen = fraction_bits.value_or(counts.fraction_bits(low, high, FormatChoice::kLeastSquares));
    streams_.converted().round(
        value, {.fraction_bits = chosen, .low = static_cast<double>(low), .high = static_cast<double>(high)});
  }

  std::vector<ChannelBlock> blocks_of(const TracedNode& node, const Tensor& weight) const {
    const int64_t channels = weight.size(-1);
    const int64_t taps = weight.numel() / weight.size(0) / channels;
    const bool whole = convolution_of(node).groups > 1;
    const int64_t of_block = whole ? channels : std::max<int64_t>(1, options_.block_inputs / taps);
    std::vector<ChannelBlock> blocks;
    for (int64_t first = 0; first < channels; first += of_block) {
      blocks.push_back({.first = first, .count = std::min(of_block, channels - first)});
    }
    return blocks;
  }

  RoundedFilters round(const TracedNode& node, const LayerToRound& task,
                       const std::vector<ChannelBlock>& blocks) const {
    LayerRounding rounding(task, options_.compensation);
    for (const ChannelBlock& block : blocks) {
      std::vector<GroupMoments> moments = collect(node, task.weight, block);
      // The matrices to come are not tensors: what those have left in the cache is no use to them.
      if (moments.front().depth >= kWideDepth) release_cached_memory();
      rounding.add(std::move(moments), block);
    }
    RoundedFilters result = std::move(rounding).finish();
    if (blocks.size() > 1) result.statistics = measure(node, task, result);
    return result;
  }

  static Conv2dOptions convolution_of(const TracedNode& node) {
    return node.kind == "conv2d" ? std::any_cast<const Conv2dOptions&>(node.options) : Conv2dOptions();
  }

  /// Of the channels of a block, and what they give in the float layer.
  std::vector<GroupMoments> collect(const TracedNode& node, const Tensor& weight,
                                    const ChannelBlock& block) const {
    const ReplayedCall call = replayed_call(node.kind, node.options, node.scope);
    const bool whole = block.count == weight.size(-1);  // then of every group
    const auto input = [&](const Tensor& x) { return whole ? x : channels_of(x, block); };
    const Tensor filters = channels_of(weight, block);
    MomentSums sums(filters.shape(), convolution_of(node));
    streams_.for_batches([&](int64_t begin, int64_t end) {
      sums.add(input(streams_.converted().rows(node.inputs[0], begin, end)),
               call({input(streams_.of_float().rows(node.inputs[0], begin, end)), filters, {}}));
    });
    std::vector<GroupMoments> moments = std::move(sums).moments();
    for (const GroupMoments& group : moments) {
      DS_CHECK(std::isfinite(sum_of(group.xx)) && std::isfinite(sum_of(group.yy)),
               "[compensate] the values that layer {} reads or gives are not finite", node.scope);
    }
    return moments;
  }

  OutputStatistics measure(const TracedNode& node, const LayerToRound& task,
                           const RoundedFilters& rounded) const {
    const ReplayedCall call = replayed_call(node.kind, node.options, node.scope);
    const Tensor plain = make_weight(task.format, task.weight)->rounded();
    OutputSums sums(task.weight.size(0));
    streams_.for_batches([&](int64_t begin, int64_t end) {
      const Tensor x = streams_.converted().rows(node.inputs[0], begin, end);
      sums.add(call({streams_.of_float().rows(node.inputs[0], begin, end), task.weight, {}}),
               call({x, rounded.weight, {}}), call({x, plain, {}}));
    });
    return sums.statistics(rounded.scales, task.mean_is_free);
  }

  /// The batch norm that alone takes a node's output, or -1.
  int following_norm(size_t index) const {
    int norm = -1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const TracedNode& node = graph_.nodes[i];
      if (std::ranges::count(node.inputs, graph_.nodes[index].output) == 0) continue;
      if (norm >= 0 || node.kind != "batch_norm") return -1;
      norm = static_cast<int>(i);
    }
    return graph_.nodes[index].output == graph_.output ? -1 : norm;
  }

  /// The layer's bias, before it is rounded if it is; -1 without one.
  int bias_leaf(const TracedNode& node) const {
    const int bias = node.inputs[2];
    const int producer = bias < 0 ? -1 : graph_.values[at(bias)].producer;
    return producer < 0 ? bias : graph_.nodes[at(producer)].inputs[0];
  }

  void match_bias(const std::string& path, int leaf, const OutputStatistics& statistics) {
    std::vector<double> bias = doubles(streams_.converted().constant(leaf));
    for (size_t o = 0; o < bias.size(); ++o) bias[o] += statistics.float_mean[o] - statistics.mean[o];
    const Tensor result = floats(bias, {static_cast<int64_t>(bias.size())});
    streams_.converted().set_constant(leaf, result);
    new_biases_[path] = result;
  }

  /// The norm gives for the outputs, brought to the float layer's mean and deviation, what it gave before:
  /// sqrt(v' + eps) = sqrt(v + eps) s / s_float, m' = mean - (mean_float - m) s / s_float. A v' below 0 is
  /// not to be had: outputs that vary less than eps then come out smaller.
  void match_norm(const TracedNode& norm, const TracedNode& layer, const OutputStatistics& statistics) {
    std::vector<double> mean = doubles(streams_.converted().constant(norm.inputs[3]));
    std::vector<double> variance = doubles(streams_.converted().constant(norm.inputs[4]));
    const double eps = std::any_cast<const BatchNormOptions&>(norm.options).eps;
    const int bias_value = layer.inputs[2];  // rounded, if it is
    const std::vector<double> bias = bias_value < 0 ? std::vector<double>(mean.size())
                                                    : doubles(streams_.converted().rows(bias_value, 0, 1));
    for (size_t o = 0; o < mean.size(); ++o) {
      // A filter whose outputs did not vary: what they do now is to vanish.
      constexpr double kLeast = 1e-12;
      const double of_float = std::max(statistics.float_variance[o], kLeast * statistics.variance[o]);
      const double ratio = statistics.variance[o] > 0.0 ? std::sqrt(statistics.variance[o] / of_float) : 1.0;
      mean[o] = statistics.mean[o] + bias[o] - (statistics.float_mean[o] + bias[o] - mean[o]) * ratio;
      variance[o] = std::max((variance[o] + eps) * ratio * ratio - eps, 0.0);
    }
    const Shape shape{static_cast<int64_t>(mean.size())};
    new_buffers_[norm.scope + ".running_mean"] = floats(mean, shape);
    new_buffers_[norm.scope + ".running_var"] = floats(variance, shape);
    streams_.converted().set_constant(norm.inputs[3], new_buffers_[norm.scope + ".running_mean"]);
    streams_.converted().set_constant(norm.inputs[4], new_buffers_[norm.scope + ".running_var"]);
  }

  /// From here on nothing can fail.
  void apply() {
    for (const PlannedLayer& layer : plan_) {
      if (const auto found = new_weights_.find(layer.named.path); found != new_weights_.end()) {
        const WeightOptions weight_options{.layout = layer.named.layer->weight().options().layout};
        layer.named.layer->replace_weight(make_weight(std::nullopt, found->second, weight_options));
      }
      if (const auto found = new_biases_.find(layer.named.path); found != new_biases_.end()) {
        Variable bias = layer.named.layer->bias();
        bias.mutable_value().copy_from(found->second);
      }
    }
    for (const NamedBuffer& buffer : model_.named_buffers()) {
      if (const auto found = new_buffers_.find(buffer.name); found != new_buffers_.end()) {
        buffer.value->copy_from(found->second);
      }
    }
  }

  ConvertPredicate chosen() const {
    return [this](const std::string& path, int64_t) {
      return std::ranges::any_of(plan_, [&](const PlannedLayer& layer) {
        return layer.named.path == path && layer.format.has_value();
      });
    };
  }

  Module& model_;
  const CompensateOptions& options_;
  std::vector<PlannedLayer> plan_;
  Graph graph_;
  std::vector<const PlannedLayer*> layers_;  // by node
  StreamPair streams_;
  std::map<std::string, int> offsets_;
  std::map<std::string, Tensor> new_weights_;
  std::map<std::string, Tensor> new_biases_;
  std::map<std::string, Tensor> new_buffers_;
};

}  // namespace

CompensateReport compensate(Module& model, Tensor images, const CompensateOptions& options,
                            const ConvertPredicate& predicate) {
  DS_CHECK(images.defined() && images.device() == Device{} && images.rank() == 4 &&
               images.dtype() == DType::kF32 && images.size(0) >= 1,
           "[compensate] images are {}, expected f32 [N,H,W,C] on cpu with N >= 1",
           images.defined() ? TensorType::of(images).str() : "missing");
  DS_CHECK(options.compensation.damping > 0.0, "[compensate] damping is {}, expected more than 0",
           options.compensation.damping);
  DS_CHECK(options.conversion.ps_init == PsInit::kConverted,
           "[compensate] PS weights are to be random, expected converted ones");
  DS_CHECK(options.batch >= 1, "[compensate] batch is {}, expected at least 1", options.batch);
  DS_CHECK(options.block_inputs >= 1, "[compensate] block_inputs is {}, expected at least 1",
           options.block_inputs);
  if (options.activations) ActivationQuant({.format = *options.activations});  // refuses what there is not
  DS_CHECK(!options.activations || !activation_quant_options(model),
           "[compensate] activations are to be rounded to {}, but the network itself rounds them to {}",
           options.activations->str(), activation_quant_options(model)->format.str());
  return Compensator(model, std::move(images), options, predicate).run();
}

std::string CompensateReport::str() const {
  size_t width = 5;
  for (const ConvertedLayer& layer : conversion.layers) width = std::max(width, layer.path.size());
  std::string text =
      fmt::format("{:<{}}  {:<20}  {:>9}  {:>12}  {:>11}  {:>7}  {:<8}  {:>7}\n", "layer", width, "weight",
                  "weights", "only rounded", "compensated", "zeros", "p", "seconds");
  for (const ConvertedLayer& layer : conversion.layers) {
    text += fmt::format("{:<{}}  {:<20}  {:>9}", layer.path, width, layer.weight, layer.count);
    const auto found = std::ranges::find(layers, layer.path, &CompensatedLayer::path);
    if (found != layers.end()) {
      const auto& exponents = layer.rounded.exponents;
      text += fmt::format(
          "  {:>10.2f} %  {:>9.2f} %  {:>5.2f} %  {:<8}  {:>7.2f}", 100.0 * found->plain_error,
          100.0 * found->error,
          100.0 * static_cast<double>(layer.rounded.zeros) / static_cast<double>(layer.rounded.count),
          exponents.empty() ? "none"
                            : fmt::format("{}..{}", exponents.begin()->first, exponents.rbegin()->first),
          found->seconds);
      if (found->blocks > 1) text += fmt::format("  in {} blocks of inputs", found->blocks);
    }
    text += '\n';
  }
  return text + fmt::format("errors of the layers' outputs on the sample images; {:.1f} s in all\n", seconds);
}

}  // namespace ds
