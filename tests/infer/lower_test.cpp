#include "infer/lower.h"

#include <gmock/gmock.h>

#include <cmath>

#include "infer/reference.h"
#include "layers/batchnorm2d.h"
#include "layers/convert.h"
#include "models/registry.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using infer::IntegerNet;
using infer::LowerOptions;
using test::error_of;
using testing::HasSubstr;

const std::vector<float> kMean = {0.49F, 0.48F, 0.45F};
const std::vector<float> kDeviation = {0.20F, 0.21F, 0.22F};

/// Random pixels whose neighbours are alike, as those of photographs are.
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

Tensor normalised(const Tensor& images, const LowerOptions& options) {
  Tensor result = Tensor::empty(images.shape());
  const auto channels = static_cast<size_t>(images.size(-1));
  for (int64_t i = 0; i < images.numel(); ++i) {
    const size_t c = static_cast<size_t>(i) % channels;
    const float value = static_cast<float>(images.data<uint8_t>()[i]) / 255.0F;
    result.data<float>()[i] = options.mean.empty() ? value : (value - options.mean[c]) / options.deviation[c];
  }
  return result;
}

/// A network in evaluation with batch norms that a training could have left.
ModulePtr evaluated(ModulePtr network) {
  network->for_each([](const std::string&, Module& module) {
    if (dynamic_cast<BatchNorm2d*>(&module) == nullptr) return;
    for (const NamedParameter& parameter : module.named_parameters()) {
      Variable value = parameter.value;
      const bool gamma = parameter.name == "weight";
      fill_uniform(value.mutable_value(), gamma ? 0.5 : -0.3, gamma ? 1.5 : 0.3, default_generator());
    }
  });
  network->eval();
  return network;
}

/// Signal to noise ratio in decibels of the centred logits, as docs/results quote it.
double snr(const Tensor& found, int fraction_bits, const Tensor& expected) {
  const int64_t classes = expected.size(1);
  double signal = 0.0;
  double noise = 0.0;
  for (int64_t n = 0; n < expected.size(0); ++n) {
    double mean_found = 0.0;
    double mean_expected = 0.0;
    const auto value = [&](int64_t c) {
      return std::ldexp(found.data<int32_t>()[n * classes + c], -fraction_bits);
    };
    for (int64_t c = 0; c < classes; ++c) {
      mean_found += value(c) / static_cast<double>(classes);
      mean_expected += expected.data<float>()[n * classes + c] / static_cast<double>(classes);
    }
    for (int64_t c = 0; c < classes; ++c) {
      const double x = expected.data<float>()[n * classes + c] - mean_expected;
      const double error = value(c) - mean_found - x;
      signal += x * x;
      noise += error * error;
    }
  }
  return 10.0 * std::log10(signal / noise);
}

/// How near the integer net of a network comes to it, on images that it was not calibrated on.
double snr_of(Module& network, const Shape& image, const LowerOptions& options) {
  const Tensor calibration = random_images(16, image, 1);
  const Tensor images = random_images(8, image, 2);
  const NoGrad no_grad;
  const IntegerNet net =
      infer::lower(trace(network, normalised(calibration.slice(0, 2), options)), calibration, options);
  const Tensor logits = infer::run_reference(net, images);
  const double result =
      snr(logits, net.result().format.fraction_bits, network(normalised(images, options)).value());
  if (std::getenv("SHOW") != nullptr) fmt::print("{}{:.1f} dB\n", net.str(), result);
  return result;
}

struct Case {
  const char* model;
  ShiftMethod method;
  int weight_bits;
  int activation_bits;
  int digits;
  double least_snr;

  friend void PrintTo(const Case& c, std::ostream* stream) {
    *stream << c.model << " " << name_of(c.method) << c.weight_bits << " a" << c.activation_bits << " d"
            << c.digits;
  }
};

class LowerModels : public testing::TestWithParam<Case> {};

TEST_P(LowerModels, ComputesTheNetworksFunction) {
  const Case& c = GetParam();
  manual_seed(1);
  const models::ModelEntry& entry = models::find(c.model);
  const ModulePtr network = evaluated(entry.make({.classes = 10}));
  convert_to_shift(*network, {.method = c.method, .weight_bits = c.weight_bits});
  LowerOptions options{.activation_bits = c.activation_bits, .digits = c.digits};
  if (entry.input[2] == 3) {
    options.mean = kMean;
    options.deviation = kDeviation;
  }
  EXPECT_GE(snr_of(*network, entry.input, options), c.least_snr);
}

INSTANTIATE_TEST_SUITE_P(, LowerModels,
                         testing::Values(Case{"resnet20", ShiftMethod::kQ, 4, 8, 3, 20.0},
                                         Case{"resnet20", ShiftMethod::kQ, 5, 8, 3, 20.0},
                                         Case{"resnet20", ShiftMethod::kPs, 4, 8, 3, 20.0},
                                         Case{"resnet20", ShiftMethod::kQ, 4, 16, infer::kFullDigits, 50.0},
                                         Case{"resnet20", ShiftMethod::kQ, 5, 16, infer::kFullDigits, 50.0},
                                         Case{"resnet20", ShiftMethod::kQ, 2, 16, infer::kFullDigits, 50.0},
                                         Case{"mnist_conv", ShiftMethod::kQ, 4, 8, 3, 20.0},
                                         Case{"mnist_fc", ShiftMethod::kPs, 3, 8, 3, 20.0},
                                         Case{"mobilenet_v2_cifar", ShiftMethod::kQ, 4, 16,
                                              infer::kFullDigits, 40.0}));

}  // namespace
}  // namespace ds
