#include "apps/common/diagnose.h"

#include <fmt/format.h>

#include <cmath>

#include "autograd/tracer.h"
#include "core/ops.h"

namespace ds::apps {

namespace {

bool is_finite(const Tensor& tensor) {
  return !is_float(tensor.dtype()) || std::isfinite(ops::sum_squares(tensor));
}

/// The calls of one evaluation of the whole batch.
Graph trace_batch(Module& model, const Tensor& images) {
  const NoGrad no_grad;
  const Variable input(images);
  Tracer tracer(input);
  const Variable output = model(input);
  return std::move(tracer).finish(output);
}

}  // namespace

std::string first_not_finite(Module& model, const Tensor& images) {
  for (const NamedParameter& parameter : model.named_parameters()) {
    if (!is_finite(parameter.value.value())) return fmt::format("parameter {}", parameter.name);
  }
  if (!is_finite(images)) return "the input images";
  const Graph graph = trace_batch(model, images);
  for (const TracedNode& node : graph.nodes) {
    if (!is_finite(graph.values[static_cast<size_t>(node.output)].value)) {
      return fmt::format("the output of {} in {}", node.kind,
                         node.scope.empty() ? "the network" : node.scope);
    }
  }
  return "the loss itself, or batch normalisation in training (every layer's output is finite in evaluation)";
}

std::string first_gradient_not_finite(const Module& model) {
  for (const NamedParameter& parameter : model.named_parameters()) {
    const Tensor& gradient = parameter.value.grad();
    if (gradient.defined() && !is_finite(gradient)) return parameter.name;
  }
  return "";
}

}  // namespace ds::apps
