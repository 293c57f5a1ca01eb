#include "autograd/tape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "autograd/functions.h"
#include "core/ops.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> grad_of(const Variable& variable) { return variable.grad().to_vector<float>(); }

/// A user's function: the identity, with a gradient of the caller's choice.
Variable identity(const Variable& x, GradientFunction gradient) {
  return record({.kind = "identity", .inputs = {x}}, x.value().clone(), std::move(gradient));
}

TEST(Tape, GradientsFollowTheChainRule) {
  const Variable a = leaf({1, 2});
  const Variable b = leaf({3, 4});
  sum(a * b + a).backward();
  EXPECT_THAT(grad_of(a), ElementsAre(4, 5));
  EXPECT_THAT(grad_of(b), ElementsAre(1, 2));
}

TEST(Tape, GradientsAccumulateUntilZeroGrad) {
  Variable a = leaf({1, 2});
  sum(a * 3.0).backward();
  const Tensor first = a.grad();
  sum(a * 4.0).backward();
  EXPECT_THAT(grad_of(a), ElementsAre(7, 7));
  EXPECT_THAT(first.to_vector<float>(), ElementsAre(3, 3))
      << "a gradient that somebody holds was overwritten";
  a.zero_grad();
  EXPECT_FALSE(a.grad().defined());
}

TEST(Tape, GradientsOfOneAdditionDoNotShareMemory) {
  const Variable a = leaf({1, 2});
  const Variable b = leaf({3, 4});
  sum(a + b).backward();
  ASSERT_FALSE(a.grad().same_memory(b.grad()));
  Variable(a).mutable_grad().fill(9.0);
  EXPECT_THAT(grad_of(b), ElementsAre(1, 1));
}

// Both branches get one and the same tensor from the addition, and each adds another gradient to it.
TEST(Tape, AccumulationDoesNotReachOtherGradients) {
  const Variable x = leaf({1, 2});
  const Variable y = leaf({1, 2});
  const Variable u = x * 2.0;
  const Variable v = y * 3.0;
  const Variable early = u * 10.0 + v * 100.0;  // recorded before the sum: delivered after it
  sum((u + v) + early).backward();
  EXPECT_THAT(grad_of(x), ElementsAre(22, 22));
  EXPECT_THAT(grad_of(y), ElementsAre(303, 303));
}

TEST(Tape, ATensorThatAClosureKeepsIsNotTaken) {
  const Variable x = leaf({1, 2});
  const Tensor kept = vector_of({5, 6});
  const auto constant = [kept](const Tensor&) { return Gradients{kept}; };
  const Variable y = identity(x, constant);
  sum(y + identity(x, constant)).backward();
  EXPECT_THAT(grad_of(x), ElementsAre(10, 12));
  EXPECT_THAT(kept.to_vector<float>(), ElementsAre(5, 6));
}

TEST(Tape, ASharedValueIsReplayedOnce) {
  const Variable x = scalar_leaf(1);
  Variable y = x;
  for (int i = 0; i < 60; ++i) y = y + y;  // 2^60 paths
  y.backward();
  EXPECT_EQ(x.grad().item(), 0x1p60);
}

TEST(Tape, DepthIsLimitedByMemoryOnly) {
  constexpr int kDepth = 1'000'000;
  const Variable x = scalar_leaf(1);
  const auto chain = [&] {
    Variable y = x;
    for (int i = 0; i < kDepth; ++i) y = y + 0.0;
    return y;
  };
  chain();  // destroyed unused
  chain().backward();
  EXPECT_EQ(x.grad().item(), 1.0);
}

TEST(Tape, AChainOfClosuresThatHoldVariablesIsDestroyedWithoutRecursion) {
  Variable y = scalar_leaf(1);
  for (int i = 0; i < 300'000; ++i) {
    y = record({.kind = "hold", .inputs = {y}}, Tensor::full({}, 1.0),
               [held = y](const Tensor& dy) { return Gradients{dy}; });
  }
  y = Variable();
}

TEST(Tape, TheGraphIsFreedAsBackwardWalks) {
  const Variable x = leaf({1, 2});
  auto late = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = late;
  const Variable early =
      identity(x, [watch](const Tensor& dy) { return watch.expired() ? Gradients{dy} : Gradients{}; });
  const Variable root = sum(identity(early, [late](const Tensor& dy) { return Gradients{dy}; }));
  late.reset();
  ASSERT_FALSE(watch.expired());
  root.backward();  // throws if the later closure was still alive
  EXPECT_TRUE(root.node()->edges().empty());
}

TEST(Tape, NodesDoNotHoldTheValuesOfTheirInputs) {
  const Variable x(uniform({1 << 20}, 1), true);
  const size_t before = memory_stats().in_use;
  Variable y = x;
  for (int i = 0; i < 10; ++i) y = y * 2.0;
  EXPECT_LE(memory_stats().in_use, before + (size_t{1} << 22) + 4096) << "more than the last value is alive";
}

TEST(Tape, AFreedGraphIsAnError) {
  const Variable x = leaf({1, 2});
  const Variable y = sum(x * x);
  y.backward(true);
  y.backward();
  EXPECT_THAT(grad_of(x), ElementsAre(4, 8));
  EXPECT_THAT(error_of([&] { y.backward(); }),
              AllOf(HasSubstr("sum was freed"), HasSubstr("backward(true)")));
}

TEST(Tape, AChangeInPlaceAfterTheForwardPassIsAnError) {
  Variable w = leaf({2});
  w.set_name("fc.weight");
  const Variable x = leaf({3});
  const Variable y = sum(w * x);
  y.backward(true);
  w.mutable_value().fill(1.0);
  EXPECT_THAT(error_of([&] { y.backward(); }),
              AllOf(HasSubstr("input 0 of multiply (fc.weight) was changed in place")));
  EXPECT_THAT(grad_of(x), ElementsAre(2)) << "of the first pass alone";
  sum(w * x).backward();
  EXPECT_THAT(grad_of(x), ElementsAre(3));
}

/// The gradient of the other factor is made from it.
TEST(Tape, AChangeInPlaceOfAConstantOrOfAResultIsAnErrorToo) {
  const Variable x = leaf({2});
  Variable c(vector_of({3}));
  const Variable y = sum(x * c);
  c.mutable_value().fill(0.0);
  EXPECT_THAT(error_of([&] { y.backward(); }), HasSubstr("input 1 of multiply was changed in place"));
  Variable h = x * 2.0;
  const Variable z = sum(h * h);
  h.mutable_value().fill(100.0);
  EXPECT_THAT(error_of([&] { z.backward(); }), HasSubstr("input 0 of multiply was changed in place"));
}

TEST(Tape, RootsThatHaveNoGradientAreErrors) {
  const Variable x = leaf({1, 2});
  EXPECT_THAT(error_of([&] { (x * 2.0).backward(); }), HasSubstr("[2], expected one element"));
  EXPECT_THAT(error_of([&] { sum(Variable(vector_of({1}))).backward(); }), HasSubstr("requires no gradient"));
  EXPECT_THAT(error_of([&] { Variable().backward(); }), HasSubstr("no variable"));
}

TEST(Tape, AnyRootTakesAGivenGradient) {
  const Variable x = leaf({1, 2});
  const Variable y = x * 2.0;
  backward(y, vector_of({10, 100}), true);
  EXPECT_THAT(grad_of(x), ElementsAre(20, 200));
  EXPECT_THAT(error_of([&] {
                backward(y, vector_of({1, 2, 3}));
              }),
              AllOf(HasSubstr("[3] on cpu"), HasSubstr("expected")));
  EXPECT_THAT(error_of([&] { backward(y, Tensor()); }), HasSubstr("is undefined"));
}

TEST(Tape, ALeafMayBeTheRoot) {
  const Variable x = scalar_leaf(3);
  x.backward();
  EXPECT_EQ(x.grad().item(), 1.0);
}

TEST(Tape, WrongGradientsNameTheNode) {
  const Variable x = leaf({1, 2});
  const auto message = [&](GradientFunction gradient) {
    return error_of([&] { sum(identity(x, std::move(gradient))).backward(); });
  };
  EXPECT_THAT(message([](const Tensor&) {
                return Gradients{vector_of({1, 2, 3})};
              }),
              AllOf(HasSubstr("identity"), HasSubstr("found f32 [3] on cpu"), HasSubstr("expected f32 [2]")));
  EXPECT_THAT(message([](const Tensor& dy) { return Gradients{dy.to(DType::kF64)}; }),
              HasSubstr("found f64"));
  EXPECT_THAT(message([](const Tensor&) { return Gradients{{}}; }), HasSubstr("no gradient for input 0"));
  EXPECT_THAT(message([](const Tensor& dy) { return Gradients{dy, dy}; }), HasSubstr("2 gradients for 1"));
}

TEST(Tape, NoGradRecordsNothing) {
  const Variable x = leaf({1, 2});
  {
    const NoGrad no_grad;
    EXPECT_FALSE((x * 2.0).requires_grad());
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_TRUE((x * 2.0).requires_grad());
  EXPECT_FALSE((x.detach() * 2.0).requires_grad());
}

/// Which inputs of the node get a gradient.
std::vector<bool> gradients_given(const Variable& y) {
  std::vector<bool> given;
  for (const Tensor& gradient : y.node()->replay(uniform(y.shape(), 3))) given.push_back(gradient.defined());
  return given;
}

TEST(Tape, GradientsOfConstantsAreNotComputed) {
  const Variable image(uniform({2, 4, 4, 3}, 1));
  const Variable weight(uniform({5, 3, 3, 3}, 2), true);
  EXPECT_THAT(gradients_given(conv2d(image, weight, {}, {.padding = 1})), ElementsAre(false, true, false));
  const Variable constant(uniform({3, 3}, 1));
  const Variable x(uniform({3, 3}, 2), true);
  const Variable bias(uniform({3}, 3), true);
  EXPECT_THAT(gradients_given(linear(constant, x, {})), ElementsAre(false, true, false));
  EXPECT_THAT(gradients_given(linear(x, constant, bias)), ElementsAre(true, false, true));
  using Binary = Variable (*)(const Variable&, const Variable&);
  for (const Binary function : {add, subtract, multiply, divide, matmul}) {
    EXPECT_THAT(gradients_given(function(x, constant)), ElementsAre(true, false));
    EXPECT_THAT(gradients_given(function(constant, x)), ElementsAre(false, true));
  }
  EXPECT_THAT(gradients_given(concat({constant, x})), ElementsAre(false, true));
}

TEST(Variable, AccumulateGradChecksWhatItGets) {
  Variable x = leaf({1, 2});
  EXPECT_THAT(error_of([&] { x.accumulate_grad(vector_of({1})); }),
              AllOf(HasSubstr("found f32 [1]"), HasSubstr("expected f32 [2]")));
  EXPECT_THAT(error_of([&] { x.accumulate_grad({}); }), HasSubstr("no tensor"));
  EXPECT_THAT(error_of([] { Variable(Tensor::zeros({2}, DType::kI64), true); }), HasSubstr("i64 cannot"));
  EXPECT_THAT(error_of([] { Variable().value(); }), HasSubstr("not there"));
}

TEST(Variable, ProjectionBringsTheValueIntoItsSet) {
  Variable x = leaf({-3, 0.5, 3});
  x.project();
  x.set_projection([](Tensor& value) { ops::clamp_in_place(value, -1.0, 1.0); });
  x.project();
  EXPECT_THAT(x.value().to_vector<float>(), ElementsAre(-1, 0.5, 1));
}

}  // namespace
}  // namespace ds::test
