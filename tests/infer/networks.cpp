#include "tests/infer/networks.h"

#include <algorithm>

#include "layers/batchnorm2d.h"
#include "layers/convert.h"
#include "models/registry.h"

namespace ds::test {
namespace {

/// Batch norms as a training could have left them: statistics of these images, other gammas and betas.
void settle_batch_norms(Module& network, const Tensor& images) {
  network.for_each([](const std::string&, Module& module) {
    if (dynamic_cast<BatchNorm2d*>(&module) == nullptr) return;
    for (const NamedParameter& parameter : module.named_parameters()) {
      Variable value = parameter.value;
      const bool gamma = parameter.name == "weight";
      fill_uniform(value.mutable_value(), gamma ? 0.5 : -0.3, gamma ? 1.5 : 0.3, default_generator());
    }
  });
  const NoGrad no_grad;
  network.train();
  for (int pass = 0; pass < 30; ++pass) network(images);  // statistics move by a tenth each time
  network.eval();
}

}  // namespace

std::string NetworkCase::name() const {
  return fmt::format("{}_{}{}_a{}_d{}", model, name_of(method), weight_bits, activation_bits, digits);
}

std::vector<NetworkCase> network_cases() {
  using infer::kFullDigits;
  return {{"resnet20", ShiftMethod::kQ, 4, 8, 3, 25.0},
          {"resnet20", ShiftMethod::kQ, 5, 8, 3, 25.0},
          {"resnet20", ShiftMethod::kPs, 4, 8, 2, 15.0},
          {"resnet20", ShiftMethod::kPs, 5, 8, 4, 25.0},
          {"resnet20", ShiftMethod::kQ, 3, 8, 3, 25.0},
          {"resnet20", ShiftMethod::kQ, 4, 16, kFullDigits, 60.0},
          {"resnet20", ShiftMethod::kQ, 5, 16, kFullDigits, 60.0},
          {"resnet20", ShiftMethod::kQ, 2, 16, kFullDigits, 60.0},
          {"mnist_conv", ShiftMethod::kQ, 4, 8, 3, 25.0},
          {"mnist_fc", ShiftMethod::kPs, 3, 8, 3, 25.0},
          {"mobilenet_v2_cifar", ShiftMethod::kQ, 4, 8, 3, 15.0},
          {"mobilenet_v2_cifar", ShiftMethod::kPs, 5, 16, kFullDigits, 50.0}};
}

Tensor random_images(int64_t count, const Shape& image, uint64_t seed) {
  Tensor images = Tensor::empty({count, image[0], image[1], image[2]}, DType::kU8);
  Generator generator(seed);
  int64_t previous = 128;
  for (uint8_t& pixel : images.span<uint8_t>()) {
    previous = std::clamp<int64_t>(previous + generator.below(81) - 40, 0, 255);
    pixel = static_cast<uint8_t>(previous);
  }
  return images;
}

Tensor normalised(const Tensor& images, const infer::LowerOptions& options) {
  Tensor result = Tensor::empty(images.shape());
  const auto channels = static_cast<size_t>(images.size(-1));
  for (int64_t i = 0; i < images.numel(); ++i) {
    const size_t c = static_cast<size_t>(i) % channels;
    const float value = static_cast<float>(images.data<uint8_t>()[i]) / 255.0F;
    result.data<float>()[i] = options.mean.empty() ? value : (value - options.mean[c]) / options.deviation[c];
  }
  return result;
}

EvaluatedNetwork evaluated(const NetworkCase& c, const std::map<std::string, int>& layer_bits) {
  manual_seed(1);
  const models::ModelEntry& entry = models::find(c.model);
  EvaluatedNetwork result{.network = entry.make({.classes = 10}),
                          .options = {.activation_bits = c.activation_bits, .digits = c.digits},
                          .image = entry.input};
  if (entry.input[2] == 3) {
    result.options.mean = {0.49F, 0.48F, 0.45F};
    result.options.deviation = {0.20F, 0.21F, 0.22F};
  }
  convert_to_shift(*result.network,
                   {.method = c.method, .weight_bits = c.weight_bits, .layer_bits = layer_bits});
  settle_batch_norms(*result.network, normalised(random_images(16, entry.input, 1), result.options));
  return result;
}

infer::IntegerNet lower_network(const EvaluatedNetwork& evaluated) {
  const NoGrad no_grad;
  const Tensor calibration = random_images(16, evaluated.image, 1);
  return infer::lower(trace(*evaluated.network, normalised(calibration.slice(0, 2), evaluated.options)),
                      calibration, evaluated.options);
}

infer::IntegerNet lowered(const NetworkCase& c) { return lower_network(evaluated(c)); }

namespace {

/// One linear layer on `count` pixels as they are.
infer::IntegerNet linear_net(int64_t count, infer::Node linear) {
  using infer::Node;
  using infer::NodeKind;
  Node input{.kind = NodeKind::kInput, .place = "input", .shape = {1, 1, count}, .high = 255};
  const auto channels = static_cast<size_t>(count);
  input.rescale = {.multiplier = std::vector<int32_t>(channels, 1),
                   .addend = std::vector<int64_t>(channels),
                   .shift = std::vector<int32_t>(channels)};
  Node flat{.kind = NodeKind::kFlatten, .place = "flat", .inputs = {0}, .shape = {count}, .high = 255};
  linear.kind = NodeKind::kLinear;
  linear.place = "fc";
  linear.inputs = {1};
  linear.shape = {1};
  linear.format.type = DType::kI32;
  linear.low = linear.format.lowest();
  linear.high = linear.format.highest();
  return infer::IntegerNet({input, flat, linear});
}

infer::Filters filters_of(const std::vector<float>& weights, ShiftFormat format) {
  return {
      .format = format, .shape = {1, static_cast<int64_t>(weights.size())}, .codes = pack(weights, format)};
}

}  // namespace

infer::IntegerNet net_of_large_sums() {
  std::vector<float> weights(350, 1.0F);
  std::fill_n(weights.begin(), 200, -1.0F);
  infer::Node linear;
  linear.filters = filters_of(weights, {.method = ShiftMethod::kQ, .bits = 5});
  linear.rescale = {.multiplier = {1}, .addend = {0}, .shift = {0}};
  return linear_net(350, linear);
}

infer::IntegerNet net_of_large_terms(int64_t small_weights) {
  std::vector<float> weights(292, 0.875F);  // 7 2^12 as integers: 146 of them times 255 are just below 2^30
  std::fill_n(weights.begin(), 146, -0.875F);
  weights.insert(weights.end(), static_cast<size_t>(small_weights), 0x7p-15F);
  infer::Node linear;
  linear.filters = filters_of(weights, {.method = ShiftMethod::kQ, .bits = 5, .terms = 2});
  linear.rescale = {.multiplier = {1}, .addend = {0}, .shift = {4}};
  return linear_net(static_cast<int64_t>(weights.size()), linear);
}

}  // namespace ds::test
