#include "infer/lower.h"

#include <gmock/gmock.h>

#include <cmath>

#include "autograd/functions.h"
#include "core/shift/pow2.h"
#include "infer/reference.h"
#include "layers/activation.h"
#include "layers/activation_quant.h"
#include "layers/conv2d.h"
#include "layers/convert.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "tests/autograd/support.h"
#include "tests/infer/networks.h"

namespace ds {
namespace {

using infer::IntegerNet;
using infer::LowerOptions;
using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

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

/// Codes do not change by an offset; multipliers and result formats do.
TEST(Lower, TakesExponentOffsetsIntoTheRescaling) {
  manual_seed(1);
  const auto make = [] {
    return sequential(std::make_shared<Conv2d>(3, 8, Conv2dLayerOptions{.kernel = 3}),
                      std::make_shared<Relu>(), std::make_shared<GlobalAvgPool2d>(),
                      std::make_shared<Linear>(8, 4));
  };
  const auto net = make();
  convert_to_shift(*net, {.weight_bits = 3, .layer_offsets = {{"0", -2}, {"3", 1}}});
  const Tensor images = test::random_images(8, {9, 9, 3}, 2);
  LowerOptions options{.activation_bits = 16, .digits = infer::kFullDigits};
  const NoGrad no_grad;
  const Tensor expected = (*net)(test::normalised(images, options)).value();
  const IntegerNet lowered =
      infer::lower(trace(*net, test::normalised(images, options).slice(0, 1)), images, options);
  EXPECT_EQ(lowered.nodes()[1].filters.format, (ShiftFormat{.method = ShiftMethod::kQ, .bits = 3}));
  const Tensor logits = infer::run_reference(lowered, images);
  EXPECT_GE(snr(logits, lowered.result().format.fraction_bits, expected), 50.0) << lowered.str();
}

TEST(Lower, KeepsTwoTerms) {
  manual_seed(1);
  const auto net =
      sequential(std::make_shared<Conv2d>(3, 8, Conv2dLayerOptions{.kernel = 3}), std::make_shared<Relu>(),
                 std::make_shared<GlobalAvgPool2d>(), std::make_shared<Linear>(8, 4));
  convert_to_shift(*net, {.weight_bits = 4, .layer_offsets = {{"0", -1}}, .two_term = {"0", "3"}});
  const Tensor images = test::random_images(8, {9, 9, 3}, 2);
  const LowerOptions options{.activation_bits = 16, .digits = infer::kFullDigits};
  const NoGrad no_grad;
  const Tensor expected = (*net)(test::normalised(images, options)).value();
  const IntegerNet lowered =
      infer::lower(trace(*net, test::normalised(images, options).slice(0, 1)), images, options);
  const infer::Filters& filters = lowered.nodes()[1].filters;
  EXPECT_EQ(filters.format, (ShiftFormat{.method = ShiftMethod::kQ, .bits = 4, .terms = 2}));
  EXPECT_EQ(filters.codes.size(), 2U * 8 * 27 * 4 / 8);
  const Tensor logits = infer::run_reference(lowered, images);
  EXPECT_GE(snr(logits, lowered.result().format.fraction_bits, expected), 50.0) << lowered.str();
}

INSTANTIATE_TEST_SUITE_P(, LowerNetworks, testing::ValuesIn(test::network_cases()),
                         [](const auto& info) { return info.param.name(); });

/// What `function` computes of 4 channels, and what its integer net does with 16 bits and full multipliers.
double snr_of(const std::function<Variable(const Variable&)>& function) {
  const LowerOptions options{.activation_bits = 16, .digits = infer::kFullDigits};
  const Tensor images = test::random_images(8, {9, 9, 4}, 5);
  const Tensor x = test::normalised(images, options);
  const IntegerNet net = infer::lower(trace(function, x), images, options);
  const NoGrad no_grad;
  const Tensor expected = flatten(function(Variable(x))).value();
  const Tensor found = infer::run_reference(net, images).reshape(expected.shape());
  return snr(found, net.result().format.fraction_bits, expected);
}

/// Filters that a function rounds to powers of two.
struct Filters {
  explicit Filters(const Shape& shape) : w(Tensor::empty(shape), true) {
    fill_uniform(w.mutable_value(), -0.5, 0.5, default_generator());
  }
  Variable rounded() const { return shift_q(w, {.range = shift_q_range(4)}); }

  Variable w;
};

TEST(Lower, KnowsEveryFunctionOfANetwork) {
  manual_seed(7);
  const Pool2dOptions window{.kernel = 3, .stride = 2, .padding = 1};
  EXPECT_GE(snr_of([&](const Variable& x) { return max_pool2d(x, window); }), 60.0);
  EXPECT_GE(snr_of([&](const Variable& x) { return avg_pool2d(x, window); }), 60.0);
  const Pool2dOptions rounded_up{.kernel = 2, .stride = 2, .ceil_mode = true};
  EXPECT_GE(snr_of([&](const Variable& x) { return max_pool2d(x, rounded_up); }), 60.0);
  EXPECT_GE(snr_of([](const Variable& x) { return adaptive_avg_pool2d(x, 3); }), 60.0);  // equal windows
  EXPECT_GE(snr_of([](const Variable& x) { return global_avg_pool2d(relu6(x * 9.0 + -2.0)); }), 60.0);
  EXPECT_GE(
      snr_of([](const Variable& x) { return pad_channels(subsample2d(x, 2), {.before = 1, .after = 2}); }),
      60.0);
  const Filters wide({6, 3, 3, 4});
  EXPECT_GE(snr_of([&](const Variable& x) {
              const Variable y = conv2d(x, wide.rounded(), {}, {.padding = 1});
              return concat({y, relu(y), x});
            }),
            60.0);
  const Filters pointwise({4, 1, 1, 4});
  EXPECT_GE(snr_of([&](const Variable& x) {
              const Variable y = conv2d(x, pointwise.rounded(), {});
              return relu(y + x) + relu(x + y);  // what is added is used twice
            }),
            60.0);
  const Filters depthwise({4, 3, 3, 1});
  const Filters last({5, 324});
  EXPECT_GE(snr_of([&](const Variable& x) {
              const Variable y = conv2d(x, depthwise.rounded(), {}, {.padding = 1, .groups = 4});
              return linear(flatten(relu(y)), last.rounded(), Variable(Tensor::full({5}, 0.125)));
            }),
            60.0);
}

TEST(Lower, KeepsABatchNormThatFollowsNothing) {
  manual_seed(8);
  Tensor mean = Tensor::full({4}, 0.4);
  Tensor variance = Tensor::full({4}, 0.05);
  const Variable gamma(Tensor::from(std::vector<float>{0.5F, -1.0F, 2.0F, 1.0F}, {4}));
  const Variable beta(Tensor::from(std::vector<float>{0.1F, 0.2F, -0.3F, 0.0F}, {4}));
  const Filters after({3, 3, 3, 4});
  EXPECT_GE(snr_of([&](const Variable& x) {
              const Variable y = relu(batch_norm(x, gamma, beta, mean, variance, {}));
              return conv2d(y, after.rounded(), {});
            }),
            60.0);
}

TEST(Lower, MakesABatchNormOfTheImagePartOfItsNormalisation) {
  manual_seed(8);
  Tensor mean = Tensor::full({4}, 0.4);
  Tensor variance = Tensor::full({4}, 0.05);
  const Variable gamma(Tensor::from(std::vector<float>{0.5F, 1.5F, 2.0F, 1.0F}, {4}));
  const Variable beta(Tensor::from(std::vector<float>{0.1F, 0.2F, -0.3F, 0.0F}, {4}));
  const Filters after({3, 3, 3, 4});
  const auto function = [&](const Variable& x) {
    return conv2d(batch_norm(x, gamma, beta, mean, variance, {}), after.rounded(), {}, {.padding = 1});
  };
  EXPECT_GE(snr_of(function), 60.0);
  const Tensor images = test::random_images(4, {9, 9, 4}, 5);
  const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), images);
  ASSERT_EQ(net.nodes().size(), 2U) << net.str();
  EXPECT_EQ(net.nodes()[1].kind, infer::NodeKind::kConv2d);
}

/// Activations that were rounded in training keep the formats of the training.
TEST(Lower, TakesTheFormatsOfTheTraining) {
  manual_seed(9);
  const Filters first({4, 1, 1, 4});
  const Filters last({2, 324});
  const auto function = [&](const Variable& x) {
    const FixedPointOptions format{.fraction_bits = 6, .low = 0.0, .high = 127.0};
    return linear(flatten(fixed_point(relu(conv2d(x, first.rounded(), {})), format)), last.rounded(), {});
  };
  const Tensor images = test::random_images(4, {9, 9, 4}, 5);
  const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), images);
  EXPECT_EQ(net.nodes()[1].format, (infer::Format{.type = DType::kU8, .fraction_bits = 6}));
  EXPECT_EQ(net.nodes()[1].high, 127);
}

/// What is rounded down in training is rounded down by the integer net, value by value.
TEST(Lower, RoundsDownWhatTheTrainingRoundedDown) {
  manual_seed(10);
  const Filters first({8, 3, 3, 4});
  const Filters last({8, 8 * 81});
  for (const Rounding rounding : {Rounding::kNearest, Rounding::kFloor}) {
    const auto function = [&](const Variable& x) {
      const FixedPointOptions format{.fraction_bits = 4, .low = -64.0, .high = 63.0, .rounding = rounding};
      const Variable y = fixed_point(conv2d(x, first.rounded(), {}, {.padding = 1}), format);
      return linear(flatten(y), last.rounded(), {});
    };
    const Tensor images = test::random_images(16, {9, 9, 4}, 5);
    const LowerOptions options{.digits = infer::kFullDigits};
    const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), images, options);
    EXPECT_EQ(net.nodes()[1].low, -64);
    const Tensor expected = function(test::normalised(images, options)).value();
    EXPECT_GE(snr(infer::run_reference(net, images), net.result().format.fraction_bits, expected), 35.0);
  }
}

/// What was traced beside the output, before and after it.
TEST(Lower, LeavesOutWhatTheOutputIsNotMadeFrom) {
  manual_seed(11);
  const Filters head({5, 324});
  const Filters auxiliary({3, 324});
  const auto function = [&](const Variable& x) {
    linear(flatten(x), auxiliary.rounded(), {});
    const Variable y = linear(flatten(x), head.rounded(), {});
    linear(flatten(x), auxiliary.rounded(), {});
    return y;
  };
  EXPECT_GE(snr_of(function), 60.0);
  const Tensor images = test::random_images(4, {9, 9, 4}, 5);
  const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), images);
  EXPECT_EQ(net.nodes().size(), 3U) << net.str();
  EXPECT_EQ(net.result().shape, Shape({5}));
}

/// A branch whose values are all but 0: its fraction bits would push the multiplier out of 32 bits.
TEST(Lower, AddsAShortcutOfTinyValues) {
  manual_seed(12);
  const Filters filters({4, 1, 1, 4});
  const auto function = [&](const Variable& x) {
    return relu(conv2d(x, filters.rounded(), {}) + affine(x, {.scale = 1e-13}));
  };
  EXPECT_GE(snr_of(function), 60.0);
}

/// The same of two stored values, which are added by a node of their own.
TEST(Lower, AddsStoredValuesOfWhichOneIsTiny) {
  manual_seed(13);
  const Filters first({4, 1, 1, 4});
  const Filters second({4, 1, 1, 4});
  const auto function = [&](const Variable& x) {
    return relu(conv2d(x, first.rounded(), {})) +
           affine(relu(conv2d(x, second.rounded(), {})), {.scale = 1e-13});
  };
  EXPECT_GE(snr_of(function), 60.0);
}

/// All that is left of the sum is tiny.
TEST(Lower, AddsStoredValuesThatCancelEachOtherOut) {
  manual_seed(13);
  const Filters filters({4, 1, 1, 4});
  const auto function = [&](const Variable& x) {
    const Variable y = relu(conv2d(x, filters.rounded(), {}));
    return y + affine(y, {.scale = -1.0, .shift = 1e-16});
  };
  const Tensor images = test::random_images(4, {9, 9, 4}, 5);
  const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), images);
  EXPECT_EQ(net.nodes().back().kind, infer::NodeKind::kAdd) << net.str();
}

/// Without a bias, the bound of the sums alone says how much room the result needs.
TEST(Lower, GivesAResultBehindAGlobalAverageRoom) {
  manual_seed(14);
  const Filters filters({4, 1, 1, 4});
  const Filters last({5, 4});
  Tensor mean = Tensor::zeros({5});
  Tensor variance = Tensor::full({5}, 1.0);
  const Variable gamma(Tensor::from(std::vector<float>{40, 50, -60, 45, 70}, {5}));
  const Variable beta(Tensor::zeros({5}));
  EXPECT_GE(snr_of([&](const Variable& x) {
              const Variable features = global_avg_pool2d(relu(conv2d(x, filters.rounded(), {})));
              return batch_norm(linear(features, last.rounded(), {}), gamma, beta, mean, variance, {});
            }),
            60.0);
}

/// A network that rounds activations but was not trained yet. What it was traced with, zeros here as in
/// `deepshift lower`, says nothing of its values.
TEST(Lower, ChoosesFormatsFromTheImagesWhereNoneWasLearnt) {
  manual_seed(15);
  const auto net = sequential(std::make_shared<Conv2d>(3, 8, Conv2dLayerOptions{.kernel = 3, .bias = false}),
                              std::make_shared<Relu>(), std::make_shared<GlobalAvgPool2d>(),
                              std::make_shared<Linear>(8, 4, LinearOptions{.bias = false}));
  convert_to_shift(*net, {.weight_bits = 4});
  const Tensor images = test::random_images(8, {9, 9, 3}, 2);
  const Tensor zeros = Tensor::zeros({1, 9, 9, 3});
  const IntegerNet plain = infer::lower(trace(*net, zeros), images);
  quantize_activations(*net, ActivationQuantOptions{.format = parse_activation_format("8")});
  const IntegerNet rounded = infer::lower(trace(*net, zeros), images);
  EXPECT_EQ(rounded.str(), plain.str());
  EXPECT_EQ(infer::run_reference(rounded, images).to_vector<int32_t>(),
            infer::run_reference(plain, images).to_vector<int32_t>());
}

std::string error_of_lowering(const std::function<Variable(const Variable&)>& function,
                              const LowerOptions& options = {}) {
  const Tensor images = test::random_images(2, {9, 9, 4}, 5);
  return error_of([&] {
    infer::lower(trace(
                     [&](const Variable& x) {
                       const TraceScope scope("head");
                       return function(x);
                     },
                     Tensor::zeros({1, 9, 9, 4})),
                 images, options);
  });
}

TEST(Lower, NamesWhatItCannotLower) {
  const Variable floats(Tensor::full({2, 1, 1, 4}, 0.3));
  EXPECT_THAT(
      error_of_lowering([&](const Variable& x) { return conv2d(x, floats, {}); }),
      AllOf(HasSubstr("conv2d in \"head\" has float weights"), HasSubstr("convert the network first")));
  EXPECT_THAT(error_of_lowering([&](const Variable& x) {
                Variable w(Tensor::full({2, 1, 1, 4}, 0.3), true);
                return conv2d(x, shift_q(w, {.range = shift_q_range(6)}), {});
              }),
              HasSubstr("weights of 6 bits, expected at most 5"));
  EXPECT_THAT(error_of_lowering([](const Variable& x) { return adaptive_avg_pool2d(x, 2); }),
              HasSubstr("adaptive_avg_pool2d in \"head\" has no counterpart"));
  EXPECT_THAT(error_of_lowering([](const Variable& x) { return x * x; }),
              HasSubstr("multiply in \"head\" has no counterpart"));
  EXPECT_THAT(error_of_lowering([](const Variable& x) {
                return avg_pool2d(x, {.kernel = 3, .padding = 1, .count_include_pad = false});
              }),
              HasSubstr("leaves what it does not count out of the divisor"));
  EXPECT_THAT(error_of_lowering([](const Variable& x) {
                return avg_pool2d(x, {.kernel = 2, .stride = 2, .ceil_mode = true});
              }),
              HasSubstr("leaves what it does not count out of the divisor"));
}

TEST(Lower, ChecksItsOptions) {
  const auto message = [](const LowerOptions& options) {
    return error_of_lowering([](const Variable& x) { return relu(x); }, options);
  };
  EXPECT_THAT(message({.activation_bits = 7}), HasSubstr("activations of 7 bits, expected 8 or 16"));
  EXPECT_THAT(message({.input_bits = 4}), HasSubstr("an input of 4 bits"));
  EXPECT_THAT(message({.digits = 5}), HasSubstr("multipliers of 5 digits"));
  EXPECT_THAT(message({.mean = {0.5F}, .deviation = {0.5F}}), HasSubstr("1 means and 1 deviations"));
  EXPECT_THAT(message({.mean = {0, 0, 0, 0}, .deviation = {1, 1, 0, 1}}), HasSubstr("a deviation of 0"));
}

}  // namespace
}  // namespace ds
