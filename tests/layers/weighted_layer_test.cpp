#include "layers/weighted_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "autograd/optim/sgd.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/weights/shift_ps.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WeightedLayer, ReplacingTheWeightReplacesItsParametersOnly) {
  Conv2d layer(2, 3, {.kernel = 3});
  const Variable bias = layer.bias();
  const WeightOptions options = layer.weight().options();
  layer.replace_weight(
      make_weight(ShiftFormat{.method = ShiftMethod::kPs, .bits = 4}, layer.weight().rounded(), options));
  EXPECT_THAT(test::parameter_names(layer), ElementsAre("shift", "sign", "bias"));
  EXPECT_TRUE(layer.bias().same_as(bias));
  for (const NamedParameter& parameter : layer.weight().parameters()) {
    EXPECT_EQ(parameter.layout.kind, FileLayout::Kind::kConvolution);
  }
  EXPECT_THAT(layer.describe(), HasSubstr("shift-ps 4 bits"));
}

TEST(WeightedLayer, OptimizersOfTheOldWeightRefuseToStep) {
  Linear layer(2, 2);
  Sgd optimizer(layer.parameters(), {.lr = 0.1});
  sum(layer(Tensor::full({1, 2}, 1.0))).backward();
  const auto bias = layer.bias().value().to_vector<float>();
  layer.replace_weight(make_weight(ShiftFormat{}, layer.weight().rounded()));
  const std::string error = error_of([&] { optimizer.step(); });
  EXPECT_THAT(error, HasSubstr("float by shift-q 5 bits"));
  EXPECT_THAT(error, HasSubstr("make a new optimizer"));
  EXPECT_EQ(layer.bias().value().to_vector<float>(), bias);
  Sgd renewed(layer.parameters(), {.lr = 0.1});
  sum(layer(Tensor::full({1, 2}, 1.0))).backward();
  EXPECT_NO_THROW(renewed.step());
}

TEST(WeightedLayer, RefusesAWeightOfAnotherShapeOrType) {
  Linear layer(2, 3);
  EXPECT_THAT(error_of([&] {
                layer.replace_weight(make_weight({}, Tensor::zeros({2, 3})));
              }),
              HasSubstr("f32 [2, 3] on cpu, expected f32 [3, 2] on cpu"));
  EXPECT_THAT(error_of([&] {
                layer.replace_weight(make_weight({}, Tensor::zeros({3, 2}, DType::kF64)));
              }),
              HasSubstr("f64"));
  EXPECT_THAT(error_of([&] { layer.replace_weight(nullptr); }), HasSubstr("no weight"));
  EXPECT_EQ(layer.weight().parameters()[0].value.retired(), "");
}

TEST(WeightedLayer, MakesWeightsOfEveryFormat) {
  const Tensor values = test::numbers({0.3F, -0.8F}, {1, 2});
  EXPECT_THAT(make_weight({}, values)->rounded().to_vector<float>(), ElementsAre(0.3F, -0.8F));
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    const WeightPtr weight = make_weight(ShiftFormat{.method = method, .bits = 3}, values);
    EXPECT_EQ(weight->format(), (ShiftFormat{.method = method, .bits = 3}));
    EXPECT_THAT(weight->rounded().to_vector<float>(), ElementsAre(0.25F, -1.0F));
  }
  EXPECT_THAT(values.to_vector<float>(), ElementsAre(0.3F, -0.8F));
}

}  // namespace
}  // namespace ds
