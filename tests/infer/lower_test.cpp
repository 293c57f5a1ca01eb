#include "infer/lower.h"

#include <gmock/gmock.h>

#include <cmath>

#include "infer/reference.h"
#include "tests/infer/networks.h"

namespace ds {
namespace {

using infer::IntegerNet;

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

class LowerNetworks : public testing::TestWithParam<test::NetworkCase> {};

TEST_P(LowerNetworks, ComputesTheNetworksFunction) {
  const test::EvaluatedNetwork evaluated = test::evaluated(GetParam());
  const Tensor images = test::random_images(8, evaluated.image, 2);  // not those of the calibration
  const IntegerNet net = test::lower_network(evaluated);
  const Tensor logits = infer::run_reference(net, images);
  const NoGrad no_grad;
  const Tensor expected = (*evaluated.network)(test::normalised(images, evaluated.options)).value();
  EXPECT_GE(snr(logits, net.result().format.fraction_bits, expected), GetParam().least_snr) << net.str();
}

INSTANTIATE_TEST_SUITE_P(, LowerNetworks, testing::ValuesIn(test::network_cases()),
                         [](const auto& info) { return info.param.name(); });

}  // namespace
}  // namespace ds
