// Activations computed again in the backward pass give what kept ones give, to the bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "autograd/recompute.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/activation_quant.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/convert.h"
#include "layers/dropout.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

ModulePtr convolution(int64_t in) {
  return std::make_shared<Conv2d>(in, 4, Conv2dLayerOptions{.kernel = 3, .padding = 1});
}

ModulePtr block() {
  return std::make_shared<Residual>(sequential(convolution(4), std::make_shared<BatchNorm2d>(4),
                                               std::make_shared<Relu>(), std::make_shared<Dropout>(0.3)));
}

/// Everything that may differ a second time: stochastic rounding, dropout, running statistics and ranges.
ModulePtr network() {
  manual_seed(3);
  ModulePtr net = sequential(convolution(3), block(), block());
  convert_to_shift(*net, {.method = ShiftMethod::kQ, .weight_bits = 4, .rounding = Rounding::kStochastic},
                   {});
  quantize_activations(*net, ActivationQuantOptions{.format = {.bits = 8, .fraction_bits = {}}});
  return net;
}

/// All gradients and buffers after two passes, and where the generator stands.
std::vector<std::vector<float>> after_two_passes(Module& net) {
  Generator generator(5);
  for (int pass = 0; pass < 2; ++pass) {
    Tensor x = Tensor::empty({2, 5, 5, 3});
    fill_normal(x, 0.0, 1.0, generator);
    const Variable y = net(x);
    mean(y * y).backward();
  }
  std::vector<std::vector<float>> all;
  for (const Variable& parameter : net.parameters()) all.push_back(parameter.grad().to_vector<float>());
  for (const NamedBuffer& buffer : net.named_buffers()) all.push_back(buffer.value->to_vector<float>());
  all.push_back({static_cast<float>(default_generator().position())});
  return all;
}

TEST(Recompute, GivesTheSameBits) {
  const ModulePtr keeps = network();
  const auto expected = after_two_passes(*keeps);
  const ModulePtr recomputes = network();
  EXPECT_EQ(recompute_blocks(*recomputes), 2);
  EXPECT_EQ(after_two_passes(*recomputes), expected);
}

TEST(Recompute, CallsTheFunctionAgainForGradientsOnly) {
  std::vector<bool> calls;
  const auto twice = [&](const Variable& x) {
    calls.push_back(recomputing());
    return x * 2.0;
  };
  const Variable x(test::numbers({1, 2}, {2}), true);
  const Variable y = recompute(twice, x);
  EXPECT_THAT(calls, testing::ElementsAre(false));
  sum(y).backward();
  EXPECT_THAT(calls, testing::ElementsAre(false, true));
  EXPECT_FALSE(recomputing());
  EXPECT_THAT(x.grad().to_vector<float>(), testing::ElementsAre(2, 2));

  recompute(twice, Variable(test::numbers({1}, {1})));
  {
    const NoGrad scope;
    recompute(twice, x);
  }
  EXPECT_THAT(calls, testing::ElementsAre(false, true, false, false));
}

TEST(Recompute, LeavesNothingBehindWhenTheFunctionThrows) {
  int calls = 0;
  const Variable x(test::numbers({1}, {1}), true);
  const Variable y = recompute(
      [&](const Variable& input) {
        default_generator().word();
        if (++calls == 2) fail("[test] the second call");
        return input * 2.0;
      },
      x);
  default_generator().word();
  const uint64_t position = default_generator().position();
  EXPECT_THAT(test::error_of([&] { sum(y).backward(); }), testing::HasSubstr("the second call"));
  EXPECT_FALSE(recomputing());
  EXPECT_EQ(default_generator().position(), position);
}

TEST(Recompute, TakesBlocksAlone) {
  const ModulePtr flat = sequential(convolution(3), std::make_shared<Relu>());
  EXPECT_EQ(recompute_blocks(*flat), 0);
  EXPECT_EQ(recompute_blocks(*sequential(flat, block())), 1);
  const ModulePtr nested = std::make_shared<Residual>(sequential(block(), block()));
  EXPECT_EQ(recompute_blocks(*sequential(nested, block())), 2) << "the outermost";
}

TEST(Recompute, Nests) {
  const auto passes = [](bool inner, bool outer) {
    manual_seed(3);
    const ModulePtr nested = std::make_shared<Residual>(sequential(convolution(4), block()));
    const ModulePtr net = sequential(convolution(3), nested);
    if (inner) recompute_blocks(*nested);
    if (outer) recompute_blocks(*net);
    return after_two_passes(*net);
  };
  EXPECT_EQ(passes(true, true), passes(false, false));
}

TEST(Recompute, WorksFromABackwardPassUnderNoGrad) {
  const Variable x(test::numbers({1, 2}, {2}), true);
  const Variable y = sum(recompute([](const Variable& input) { return input * 2.0; }, x));
  const NoGrad scope;
  y.backward();
  EXPECT_THAT(x.grad().to_vector<float>(), testing::ElementsAre(2, 2));
}

TEST(Recompute, WantsAModuleThatStaysInTraining) {
  const ModulePtr net = sequential(convolution(3), block());
  recompute_blocks(*net);
  const Variable y = sum((*net)(Tensor::full({1, 5, 5, 3}, 0.5)));
  net->eval();
  EXPECT_THAT(test::error_of([&] { y.backward(); }), testing::HasSubstr("left training"));
}

}  // namespace
}  // namespace ds
