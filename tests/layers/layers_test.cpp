// Conv2d, Linear, BatchNorm2d, pooling, activations, Dropout and Flatten: what they compute beyond their
// functions, and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/ops.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/flatten.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

double largest(const Tensor& x) {
  const ops::Extremes extremes = ops::extremes(x);
  return std::fmax(-extremes.minimum, extremes.maximum);
}

TEST(Conv2d, HasPyTorchsInitialValues) {
  manual_seed(3);
  const Conv2d layer(8, 64, {.kernel = 5, .groups = 2});
  EXPECT_EQ(layer.weight().shape(), (Shape{64, 5, 5, 4}));
  const double bound = 1.0 / std::sqrt(5 * 5 * 4);
  EXPECT_LE(largest(layer.weight().rounded()), bound);
  EXPECT_GT(largest(layer.weight().rounded()), 0.99 * bound);
  EXPECT_LE(largest(layer.bias().value()), bound);
  EXPECT_GT(largest(layer.bias().value()), 0.8 * bound);
  manual_seed(3);
  const Conv2d again(8, 64, {.kernel = 5, .groups = 2});
  EXPECT_EQ(again.weight().rounded().to_vector<float>(), layer.weight().rounded().to_vector<float>());
}

TEST(Conv2d, PassesItsOptionsOn) {
  Conv2d layer(4, 6,
               {.kernel = {3, 1}, .stride = 2, .padding = {1, 0}, .dilation = 2, .groups = 2, .bias = false});
  EXPECT_EQ(layer.describe(),
            "Conv2d(4, 6, kernel 3x1, stride 2, padding 1x0, dilation 2, groups 2, no bias, float)");
  EXPECT_EQ(layer(Tensor::zeros({1, 9, 9, 4})).shape(), (Shape{1, 4, 5, 6}));
  EXPECT_THAT(test::parameter_names(layer), ElementsAre("weight"));
}

TEST(Conv2d, RefusesOptionsOutOfBounds) {
  EXPECT_THAT(error_of([] { Conv2d(0, 4); }), HasSubstr("0 to 4 channels"));
  EXPECT_THAT(error_of([] { Conv2d(4, 6, {.groups = 4}); }), HasSubstr("4 groups for 4 to 6 channels"));
  EXPECT_THAT(error_of([] { Conv2d(4, 6, {.kernel = 0}); }), HasSubstr("kernel 0"));
  EXPECT_THAT(error_of([] { Conv2d(4, 6, {.stride = {1, 0}}); }), HasSubstr("stride 1x0"));
  EXPECT_THAT(error_of([] { Conv2d(4, 6, {.padding = -1}); }), HasSubstr("padding -1"));
  EXPECT_THAT(error_of([] { Conv2d(4, 6, {.dilation = 0}); }), HasSubstr("dilation 0"));
}

TEST(Linear, ComputesAndRefuses) {
  Linear layer(3, 2);
  EXPECT_EQ(layer.describe(), "Linear(3, 2, float)");
  const Tensor x = numbers({1, 2, 3}, {1, 3});
  const auto w = layer.weight().rounded().to_vector<float>();
  const auto b = layer.bias().value().to_vector<float>();
  const auto y = layer(x).value().to_vector<float>();
  for (size_t o = 0; o < 2; ++o) {
    EXPECT_NEAR(y[o], w[3 * o] + 2 * w[3 * o + 1] + 3 * w[3 * o + 2] + b[o], 1e-6);
  }
  EXPECT_THAT(error_of([] { Linear(0, 2); }), HasSubstr("0 to 2 features"));
  EXPECT_THAT(error_of([] {
                Linear(12, 2, {.flattened = {2, 2, 4}});
              }),
              HasSubstr("[2, 2, 4], expected H,W,C with 12"));
  EXPECT_THAT(error_of([] { Linear(12, 2, {.flattened = {3, 4}}); }), HasSubstr("expected H,W,C"));
}

TEST(BatchNorm2d, LearnsInTrainingAndOnlyThen) {
  BatchNorm2d layer(1, {.momentum = 0.5});
  const Tensor x = numbers({1, 3}, {2, 1, 1, 1});  // mean 2, variance 1, unbiased 2
  EXPECT_THAT(layer(x).value().to_vector<float>(),
              ElementsAre(testing::FloatNear(-1, 1e-5), testing::FloatNear(1, 1e-5)));
  const auto statistics = [&] {
    std::vector<float> all;
    for (const NamedBuffer& buffer : layer.named_buffers())
      all.push_back(static_cast<float>(buffer.value->item()));
    return all;
  };
  EXPECT_THAT(statistics(), ElementsAre(1.0F, 1.5F));
  layer.eval();
  const auto y = layer(x).value().to_vector<float>();
  EXPECT_NEAR(y[1], 2.0 / std::sqrt(1.5 + 1e-5), 1e-6);
  EXPECT_THAT(statistics(), ElementsAre(1.0F, 1.5F));
  EXPECT_NO_THROW(layer(numbers({5}, {1, 1, 1, 1})));  // a batch of one pixel
  EXPECT_THAT(error_of([] { BatchNorm2d(0); }), HasSubstr("0 channels"));
  EXPECT_THAT(error_of([] { BatchNorm2d(1, {.eps = 0.0}); }), HasSubstr("eps is 0"));
}

TEST(Pool2d, WindowsLieSideBySideUnlessToldOtherwise) {
  MaxPool2d maximum;
  EXPECT_EQ(maximum.describe(), "MaxPool2d(kernel 2, stride 2, padding 0)");
  EXPECT_THAT(maximum(numbers({1, 2, 3, 4}, {1, 2, 2, 1})).value().to_vector<float>(), ElementsAre(4));
  AvgPool2d average({.kernel = 3, .stride = Size2d(1), .padding = 1, .count_include_pad = false});
  EXPECT_THAT(average(Tensor::full({1, 2, 2, 1}, 5.0)).value().to_vector<float>(), testing::Each(5.0F));
  GlobalAvgPool2d global;
  EXPECT_THAT(global(numbers({1, 2, 3, 6}, {1, 2, 2, 1})).value().to_vector<float>(), ElementsAre(3));
  EXPECT_THAT(error_of([] { MaxPool2d({.kernel = 2, .padding = 2}); }),
              HasSubstr("padding 2, expected 0 to half"));
  EXPECT_THAT(error_of([] { AvgPool2d({.kernel = 0}); }), HasSubstr("[AvgPool2d] kernel 0"));
}

TEST(Activation, CutsOff) {
  const Tensor x = numbers({-1, 0.5, 7}, {3});
  EXPECT_THAT(Relu()(x).value().to_vector<float>(), ElementsAre(0, 0.5F, 7));
  EXPECT_THAT(Relu6()(x).value().to_vector<float>(), ElementsAre(0, 0.5F, 6));
}

TEST(Dropout, DropsInTrainingOnly) {
  manual_seed(5);
  Dropout layer(0.25);
  const auto y = layer(Tensor::full({4000}, 3.0)).value().to_vector<float>();
  const auto dropped = std::count(y.begin(), y.end(), 0.0F);
  EXPECT_EQ(std::count(y.begin(), y.end(), 4.0F), 4000 - dropped);
  EXPECT_NEAR(static_cast<double>(dropped), 1000.0, 150.0);
  layer.eval();
  EXPECT_THAT(layer(Tensor::full({5}, 3.0)).value().to_vector<float>(), testing::Each(3.0F));
  EXPECT_THAT(error_of([] { Dropout(1.0); }), HasSubstr("p is 1"));
}

TEST(Flatten, KeepsTheOrderInMemory) {
  Flatten layer;
  const Variable y = layer(test::counting({2, 2, 1, 3}));
  EXPECT_EQ(y.shape(), (Shape{2, 6}));
  EXPECT_EQ(y.value().to_vector<float>(), test::counting({12}).to_vector<float>());
}

TEST(Init, KaimingNormalHasTheDeviationOfHe) {
  manual_seed(7);
  const Tensor w = kaiming_normal({64, 3, 3, 32});
  const double deviation = std::sqrt(ops::sum_squares(w) / static_cast<double>(w.numel()));
  EXPECT_NEAR(deviation, std::sqrt(2.0 / (3 * 3 * 32)), 1e-3);
  EXPECT_LE(largest(kaiming_uniform({64, 32}, 0.0)), std::sqrt(6.0 / 32));
  EXPECT_THAT(error_of([] { fan_in({3}); }), HasSubstr("[3], expected O,...,I"));
}

}  // namespace
}  // namespace ds
