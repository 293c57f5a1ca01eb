#include "layers/activation_quant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/functions.h"
#include "autograd/recompute.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ActivationQuantOptions fixed(int integer, int fraction) {
  return {.format = {.bits = integer + fraction, .fraction_bits = fraction}};
}
ActivationQuantOptions chosen(int bits) { return {.format = {.bits = bits, .fraction_bits = {}}}; }

std::vector<float> rounded(const ActivationQuantOptions& options, const std::vector<float>& x) {
  return ActivationQuant(options)
      .round_input(numbers(x, {static_cast<int64_t>(x.size())}), false)
      .value()
      .to_vector<float>();
}

std::vector<float> range_of(ActivationQuant& quant) {
  return quant.buffers().at(0).value->to_vector<float>();
}

TEST(ActivationFormat, ReadsAndWritesItself) {
  for (const char* text : {"16.16", "3.5", "1.1", "32.0", "8", "2", "32"}) {
    EXPECT_EQ(parse_activation_format(text).str(), text);
  }
  EXPECT_EQ(parse_activation_format("3.5"), (ActivationFormat{.bits = 8, .fraction_bits = 5}));
  for (const char* text :
       {"", "x", "1", "33", "16.17", "0.8", "1.0", "3.", ".5", "3.5.1", "-3.5", "3,5", "8 ", "+8"}) {
    EXPECT_THAT(error_of([&] { parse_activation_format(text); }), HasSubstr(fmt::format("found '{}'", text)));
  }
}

TEST(ActivationQuant, FixedFormatRoundsHalfUpAndSaturatesAtBothEnds) {
  // 3.2: quarters from -4 to 3.75.
  EXPECT_THAT(rounded(fixed(3, 2), {0.125F, -0.125F, 0.3F, 3.8F, 100, -4.1F, -100}),
              ElementsAre(0.25F, 0, 0.25F, 3.75F, 3.75F, -4, -4));
  ActivationQuantOptions floor = fixed(3, 2);
  floor.rounding = Rounding::kFloor;
  EXPECT_THAT(rounded(floor, {0.24F, -0.01F, 3.99F}), ElementsAre(0, -0.25F, 3.75F));
}

TEST(ActivationQuant, TopOfThePaperIsAnInteger) {
  ActivationQuantOptions options = fixed(3, 2);
  options.paper_top = true;
  EXPECT_THAT(rounded(options, {2.75F, 3.5F, 100, -100}), ElementsAre(2.75F, 3, 3, -4));
}

TEST(ActivationQuant, TakesRangesOfAnySize) {
  for (const float x : {1e-35F, 1e-20F, 1e-12F, 1e12F, 1e20F, 1e30F}) {
    for (const int bits : {8, 16, 32}) {
      const float y = rounded(chosen(bits), {x}).at(0);
      EXPECT_TRUE(x < 1e-18F || std::abs(y - x) <= 0.02F * x) << bits << " bits, " << x << " became " << y;
    }
  }
}

TEST(ActivationQuant, ThirtyTwoBitsStayWithinFloat32) {
  const auto y = rounded(fixed(16, 16), {1e9F, -1e9F, std::numeric_limits<float>::infinity()});
  EXPECT_THAT(y, ElementsAre(32768.0F - 0x1p-9F, -32768, 32768.0F - 0x1p-9F));
}

TEST(ActivationQuant, GradientGoesStraightThroughAlsoWhereItSaturates) {
  const Variable x(numbers({0.1F, 50, -50}, {3}), true);
  sum(ActivationQuant(fixed(3, 2)).round_input(x, true) * Variable(numbers({1, 2, 3}, {3}))).backward();
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(1, 2, 3));
}

TEST(ActivationQuant, ChoosesTheMostFractionBitsThatHoldTheRange) {
  const auto fraction = [](const ActivationQuantOptions& options, double low, double high) {
    return choose_format(options, {.low = low, .high = high}).fraction_bits;
  };
  EXPECT_EQ(fraction(chosen(8), -0.5, 127.0), 0);
  EXPECT_EQ(fraction(chosen(8), -0.5, 127.1), -1);
  EXPECT_EQ(fraction(chosen(8), -128.0, 1.0), 0);
  EXPECT_EQ(fraction(chosen(8), -129.0, 1.0), -1);
  EXPECT_EQ(fraction(chosen(8), 0.0, 0.9), 7);
  EXPECT_EQ(fraction(chosen(8), 0.0, 0.0), 0);
  ActivationQuantOptions options = chosen(8);
  options.unsigned_inputs = true;
  EXPECT_EQ(fraction(options, 0.0, 0.9), 8);
  EXPECT_EQ(choose_format(options, {.low = 0.0, .high = 0.9}).low, 0.0);
  EXPECT_EQ(choose_format(options, {.low = 0.0, .high = 0.9}).high, 255.0);
  EXPECT_EQ(fraction(options, -0.1, 0.9), 7);
  EXPECT_EQ(choose_format(options, {.low = -0.1, .high = 0.9}).low, -128.0);
}

TEST(ActivationQuant, RangeRunsInTrainingOnly) {
  ActivationQuant quant(chosen(8));
  EXPECT_THAT(range_of(quant), ElementsAre(0, 0));
  // Nothing is known yet: evaluation takes the batch's own range and remembers nothing.
  EXPECT_THAT(quant.round_input(numbers({100.3F}, {1}), false).value().to_vector<float>(), ElementsAre(100));
  EXPECT_THAT(range_of(quant), ElementsAre(0, 0));
  quant.round_input(numbers({2, 6}, {2}), true);  // the lower end includes zero
  EXPECT_THAT(range_of(quant), ElementsAre(0, 6));
  quant.round_input(numbers({-1, 16}, {2}), true);
  EXPECT_THAT(range_of(quant), ElementsAre(testing::FloatEq(-0.1F), 7));
  // 7 needs 3 bits before the point: 127 / 16 is the top, for evaluation too.
  EXPECT_THAT(quant.round_input(numbers({100}, {1}), false).value().to_vector<float>(), ElementsAre(7.9375F));
  quant.round_input(numbers({std::numeric_limits<float>::infinity()}, {1}), true);
  EXPECT_THAT(range_of(quant), ElementsAre(testing::FloatEq(-0.1F), 7));
}

TEST(ActivationQuant, UnsignedUntilSomethingIsNegative) {
  ActivationQuantOptions options = chosen(4);
  options.unsigned_inputs = true;
  ActivationQuant quant(options);
  quant.round_input(numbers({15}, {1}), true);
  EXPECT_THAT(quant.round_input(numbers({14.6F, -3}, {2}), false).value().to_vector<float>(),
              ElementsAre(15, 0));
  quant.round_input(numbers({-1, 15}, {2}), true);
  EXPECT_THAT(quant.round_input(numbers({14, -3}, {2}), false).value().to_vector<float>(),
              ElementsAre(16, -4));
}

TEST(ActivationQuant, LayersRoundInputAndBias) {
  Linear layer(1, 1);
  layer.replace_weight(make_weight({}, numbers({1}, {1, 1})));
  Variable bias = layer.bias();
  bias.mutable_value().fill(0.3);
  quantize_activations(layer, fixed(3, 2));
  EXPECT_EQ(layer.describe(), "Linear(1, 1, float, activations 3.2)");
  EXPECT_THAT(layer(numbers({1.4F}, {1, 1})).value().to_vector<float>(), ElementsAre(1.75F));
  EXPECT_THAT(test::buffer_names(layer), IsEmpty());
  sum(layer(numbers({1.4F}, {1, 1}))).backward();
  EXPECT_THAT(bias.grad().to_vector<float>(), ElementsAre(1));
  quantize_activations(layer, std::nullopt);
  EXPECT_THAT(layer(numbers({1.4F}, {1, 1})).value().to_vector<float>(), ElementsAre(testing::FloatEq(1.7F)));
}

TEST(ActivationQuant, EveryLayerHasABufferOfItsOwn) {
  Sequential net(
      {std::make_shared<Linear>(2, 2), std::make_shared<Linear>(2, 1, LinearOptions{.bias = false})});
  EXPECT_EQ(activation_quant_options(net), std::nullopt);
  quantize_activations(net, chosen(8));
  EXPECT_EQ(activation_quant_options(net), chosen(8));
  EXPECT_THAT(test::buffer_names(net), ElementsAre("0.input_range", "1.input_range"));
  net(numbers({1, 2}, {1, 2}));
  EXPECT_THAT(net.named_buffers()[0].value->to_vector<float>(), ElementsAre(0, 2));
  const Graph graph = trace(net, numbers({8, 8}, {1, 2}));
  EXPECT_THAT(net.named_buffers()[0].value->to_vector<float>(), ElementsAre(0, 2));
  std::vector<std::string> kinds;
  for (const TracedNode& node : graph.nodes) kinds.push_back(node.kind);
  EXPECT_THAT(kinds, ElementsAre("fixed_point", "fixed_point", "linear", "fixed_point", "linear"));
}

std::vector<std::string> traced_kinds(Module& net) {
  std::vector<std::string> kinds;
  for (const TracedNode& node : trace(net, Tensor::zeros({1, 2})).nodes) kinds.push_back(node.kind);
  return kinds;
}

/// Zeros are all that a trace may see: a format of theirs would be taken for the training's.
TEST(ActivationQuant, LeavesATracedInputAsItIsBeforeItHasLearntARange) {
  const auto net = sequential(std::make_shared<Linear>(2, 2, LinearOptions{.bias = false}));
  quantize_activations(*net, chosen(8));
  EXPECT_THAT(traced_kinds(*net), ElementsAre("linear"));
  (*net)(numbers({0, 0}, {1, 2}));  // nothing can be learnt from that
  EXPECT_THAT(traced_kinds(*net), ElementsAre("linear"));
  (*net)(numbers({1, 2}, {1, 2}));
  EXPECT_THAT(traced_kinds(*net), ElementsAre("fixed_point", "linear"));
  quantize_activations(*net, fixed(3, 5));  // there is nothing to learn
  EXPECT_THAT(traced_kinds(*net), ElementsAre("fixed_point", "linear"));
}

/// What is not finite is rounded by a range of its own, which is not learnt: only the pass itself knows it.
TEST(ActivationQuant, EvaluationLeavesWhatARecomputationRepeats) {
  ActivationQuant quant(chosen(8));
  const Variable x(numbers({std::numeric_limits<float>::infinity()}, {1}), true);
  const auto squares = [&](const Variable& input) {
    const Variable rounded = quant.round_input(input, true);
    return sum(rounded * rounded);
  };
  const Variable y = recompute(squares, x);
  EXPECT_THAT(y.value().to_vector<float>(), ElementsAre(127 * 127));
  quant.round_input(numbers({1}, {1}), false);
  y.backward();
  EXPECT_THAT(x.grad().to_vector<float>(), ElementsAre(2 * 127));
}

TEST(ActivationQuant, RefusesOptionsThatContradict) {
  const auto error = [](const ActivationQuantOptions& options) {
    return error_of([&] { const ActivationQuant quant(options); });
  };
  EXPECT_THAT(error(chosen(33)), HasSubstr("33 bits, expected 2 to 32"));
  EXPECT_THAT(error(fixed(0, 8)), HasSubstr("8 fraction bits of 8"));
  ActivationQuantOptions options = fixed(1, 8);
  options.paper_top = true;
  EXPECT_THAT(error(options), HasSubstr("at least 2 integer bits"));
  options = fixed(3, 5);
  options.unsigned_inputs = true;
  EXPECT_THAT(error(options), HasSubstr("unsigned_inputs with format 3.5"));
  options = chosen(8);
  options.rounding = Rounding::kStochastic;
  EXPECT_THAT(error(options), HasSubstr("stochastic"));
  options = chosen(8);
  options.momentum = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(error(options), HasSubstr("momentum is nan"));
}

}  // namespace
}  // namespace ds
