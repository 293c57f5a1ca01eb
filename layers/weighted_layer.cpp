#include "layers/weighted_layer.h"

#include <cmath>

#include "core/error.h"
#include "layers/init.h"

namespace ds {

WeightedLayer::WeightedLayer(const Shape& weight_shape, const Options& options)
    : weight_(make_weight({}, kaiming_uniform(weight_shape), {.layout = options.layout})) {
  if (!options.bias) return;
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in(weight_shape)));
  bias_ = Variable(uniform({weight_shape[0]}, bound), true);
}

void WeightedLayer::replace_weight(WeightPtr weight) {
  DS_CHECK(weight != nullptr, "[replace_weight] there is no weight");
  const TensorType found = TensorType::of(weight->parameters().front().value.value());
  const std::vector<NamedParameter> replaced = weight_->parameters();
  const TensorType expected = TensorType::of(replaced.front().value.value());
  DS_CHECK(found == expected, "[replace_weight] the new weight is {}, expected {}", found.str(),
           expected.str());
  for (const NamedParameter& old : replaced) {
    Variable parameter = old.value;
    parameter.retire(
        fmt::format("the layer's weight was replaced ({} by {}); make a new optimizer from the "
                    "network's parameters",
                    weight_->describe(), weight->describe()));
  }
  weight_ = std::move(weight);
}

void WeightedLayer::quantize_activations(const std::optional<ActivationQuantOptions>& options) {
  quant_.reset();
  if (options) quant_.emplace(*options);
}

WeightedLayer::Operands WeightedLayer::operands(const Variable& x) {
  Operands result{.x = x, .weight = weight_->forward(training()), .bias = bias_};
  if (quant_) {
    result.x = quant_->round_input(x, training());
    if (bias_.defined()) result.bias = quant_->round_bias(bias_);
  }
  return result;
}

std::string WeightedLayer::describe_operands() const {
  return fmt::format("{}, {}{}", bias_.defined() ? "" : ", no bias", weight_->describe(),
                     quant_ ? ", activations " + quant_->options().format.str() : "");
}

std::vector<NamedParameter> WeightedLayer::own_parameters() const {
  std::vector<NamedParameter> all = weight_->parameters();
  if (bias_.defined()) all.push_back({.name = "bias", .value = bias_, .role = ParameterRole::kBias});
  return all;
}

std::vector<NamedBuffer> WeightedLayer::own_buffers() {
  return quant_ ? quant_->buffers() : std::vector<NamedBuffer>{};
}

std::vector<NamedLayer> weighted_layers(Module& module) {
  std::vector<NamedLayer> all;
  module.for_each([&](const std::string& path, Module& part) {
    if (auto* layer = dynamic_cast<WeightedLayer*>(&part)) all.push_back({.path = path, .layer = layer});
  });
  return all;
}

}  // namespace ds
