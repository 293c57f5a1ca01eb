// Convolutions: the reference against numbers worked out by hand, the other engines against the reference on
// random shapes, and all of them against the definition of an adjoint.
#include <gmock/gmock.h>

#include <cmath>
#include <utility>

#include "core/cpu/kernels/select.h"
#include "tests/support/conv2d_cases.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::Conv2dCase;
using test::Conv2dOperands;
using test::Conv2dResults;
using test::expect_close;
using test::f32_tolerance;
using test::operands_of;
using test::plan_of;
using test::random_conv2d_case;
using test::random_winograd_case;
using test::run;
using test::run_f32;
using test::ScopedEngine;
using testing::ElementsAre;

TEST(Conv2d, ReferenceConvolvesAsByHand) {
  const Conv2dCase c{.input = 3, .kernel = 2, .options = {}};
  const Conv2dOperands o{.x = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9}, c.x()),
                         .w = Tensor::from(std::vector<double>{1, 2, 3, 4}, c.w()),
                         .bias = {},
                         .dy = Tensor::full(c.y(), 1.0, DType::kF64)};
  const Conv2dResults r = run(Engine::kReference, c, o);
  EXPECT_THAT(r.y.to_vector<double>(), ElementsAre(37, 47, 67, 77));
  EXPECT_THAT(r.dx.to_vector<double>(), ElementsAre(1, 3, 2, 4, 10, 6, 3, 7, 4));
  EXPECT_THAT(r.dw.to_vector<double>(), ElementsAre(12, 16, 24, 28));
}

TEST(Conv2d, ReferenceTakesStridePaddingDilationAndGroupsAsByHand) {
  // Output column 0 reads the padding and input column 1, output column 1 reads input column 0 and the
  // padding.
  const Conv2dCase c{.input = 2,
                     .kernel = {1, 2},
                     .channels = 2,
                     .outputs = 2,
                     .options = {.stride = {2, 1}, .padding = {0, 1}, .dilation = {1, 2}, .groups = 2},
                     .bias = true};
  const Conv2dOperands o{.x = Tensor::from(std::vector<double>{1, 5, 2, 6, 3, 7, 4, 8}, c.x()),
                         .w = Tensor::from(std::vector<double>{1, 10, 2, 20}, c.w()),
                         .bias = Tensor::from(std::vector<double>{0.5, -1}, {2}),
                         .dy = Tensor::from(std::vector<double>{1, 2, 3, 4}, c.y())};
  const Conv2dResults r = run(Engine::kReference, c, o);
  EXPECT_THAT(r.y.to_vector<double>(), ElementsAre(20.5, 119, 1.5, 9));
  EXPECT_THAT(r.dx.to_vector<double>(), ElementsAre(3, 8, 10, 40, 0, 0, 0, 0));
  EXPECT_THAT(r.dw.to_vector<double>(), ElementsAre(3, 2, 20, 12));
}

/// An engine, and for the native one an instruction set.
struct Variant {
  Engine engine;
  cpu::Isa isa;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const Engine engine : kEngines) {
    if (engine != Engine::kNative) all.push_back({engine, cpu::isa()});
  }
  for (const cpu::Isa isa : cpu::available_isas()) all.push_back({Engine::kNative, isa});
  return all;
}

class Conv2dEngines : public testing::TestWithParam<Variant> {
 protected:
  static Engine tested() { return GetParam().engine; }

 private:
  test::ScopedIsa isa_{GetParam().isa};
};

TEST_P(Conv2dEngines, AgreeWithTheReferenceOnRandomShapes) {
  Generator generator(1);
  const ScopedEngine scope(tested());
  const bool native = tested() == Engine::kNative;  // in f64 it is openblas
  for (int i = 0; i < (native ? 2000 : 200) && !HasFailure(); ++i) {
    const Conv2dCase c = random_conv2d_case(generator);
    const Conv2dOperands o = operands_of(c, generator);
    const Conv2dResults expected = run(Engine::kReference, c, o);
    if (!native) expect_close(c, run(tested(), c, o), expected, 1e-13);
    expect_close(c, run_f32(tested(), c, o), expected, f32_tolerance(c));
  }
}

TEST_P(Conv2dEngines, AgreeWithTheReferenceOnShapesOfWinograd) {
  const ScopedEngine scope(tested());
  Generator generator(3);
  int by_winograd = 0;
  for (int i = 0; i < 100 && !HasFailure(); ++i) {
    const Conv2dCase c = random_winograd_case(generator);
    const Conv2dOperands o = operands_of(c, generator);
    by_winograd += plan_of(c, cpu::Conv2dPass::kForward).algorithm == cpu::Conv2dAlgorithm::kWinograd ? 1 : 0;
    expect_close(c, run_f32(tested(), c, o), run(Engine::kReference, c, o), f32_tolerance(c));
  }
  EXPECT_EQ(by_winograd > 50, tested() == Engine::kNative) << by_winograd;
}

TEST_P(Conv2dEngines, AgreeWithTheReferenceWhereWorkIsCut) {
  const ScopedEngine scope(tested());
  Generator generator(2);
  const std::vector<Conv2dCase> cases = {
      {.batch = 3,
       .input = 32,
       .kernel = 3,
       .channels = 16,
       .outputs = 16,
       .options = {.padding = 1},
       .bias = true},
      {.batch = 2,
       .input = 4,
       .kernel = 3,
       .channels = 130,
       .outputs = 300,
       .options = {.padding = 1},
       .bias = true},
      {.batch = 7,
       .input = 33,
       .kernel = 3,
       .channels = 64,
       .outputs = 48,
       .options = {.padding = 1},
       .bias = true},
      {.batch = 2, .input = {40, 41}, .kernel = 3, .channels = 33, .outputs = 7, .options = {.stride = 2}},
      {.batch = 2, .input = 45, .kernel = 1, .channels = 9, .outputs = 33, .options = {.stride = 1}},
      {.batch = 3,
       .input = 30,
       .kernel = 3,
       .channels = 40,
       .outputs = 40,
       .options = {.padding = 1, .groups = 40}},
      {.batch = 70,
       .input = 6,
       .kernel = 3,
       .channels = 130,
       .outputs = 130,
       .options = {.stride = 2, .padding = 1, .groups = 130}},
      {.batch = 2,
       .input = {9, 13},
       .kernel = 3,
       .channels = 40,
       .outputs = 40,
       .options = {.stride = 2, .padding = 1, .groups = 40},
       .bias = true},
      {.batch = 3,
       .input = {11, 4},
       .kernel = {5, 3},
       .channels = 37,
       .outputs = 37,
       .options = {.stride = {1, 2}, .padding = {2, 1}, .groups = 37},
       .bias = true},
      {.batch = 3,
       .input = {8, 3},
       .kernel = 3,
       .channels = 19,
       .outputs = 19,
       .options = {.stride = {2, 1}, .padding = {0, 1}, .groups = 19}},
      {.batch = 40,
       .input = 9,
       .kernel = 3,
       .channels = 33,
       .outputs = 5,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 50,
       .input = {9, 7},
       .kernel = 3,
       .channels = 20,
       .outputs = 140,
       .options = {.stride = 2, .padding = 1, .groups = 2},
       .bias = true},
      {.batch = 41,
       .input = 8,
       .kernel = 3,
       .channels = 66,
       .outputs = 70,
       .options = {.stride = 2, .padding = 1},
       .bias = true},
      {.batch = 33,
       .input = {7, 4},
       .kernel = {3, 2},
       .channels = 10,
       .outputs = 140,
       .options = {.padding = {2, 1}, .dilation = 2, .groups = 2},
       .bias = true},
      {.batch = 60, .input = 4, .kernel = 1, .channels = 90, .outputs = 66, .options = {.groups = 3}},
      // As many outputs in all as a panel has lanes, and half of them in each group.
      {.batch = 1,
       .input = 16,
       .kernel = 3,
       .channels = 16,
       .outputs = 16,
       .options = {.padding = 1, .groups = 2}},
      {.batch = 2, .input = 9, .kernel = 3, .channels = 1, .outputs = 1, .options = {.padding = 4}}};
  for (const Conv2dCase& c : cases) {
    const Conv2dOperands o = operands_of(c, generator);
    const Conv2dResults expected = run(Engine::kReference, c, o);
    expect_close(c, run(tested(), c, o), expected, 1e-13);
    expect_close(c, run_f32(tested(), c, o), expected, f32_tolerance(c));
  }
}

TEST_P(Conv2dEngines, AgreeWithTheReferenceWhereOutputsPassTheCaches) {
  const ScopedEngine scope(tested());
  Generator generator(4);
  const Conv2dCase large{.batch = 4, .input = {65, 64}, .channels = 64, .outputs = 64, .options = {}};
  Conv2dCase several_panels = large;
  several_panels.channels = 16;
  several_panels.outputs = 96;
  Conv2dCase border = large;
  border.kernel = 2;
  border.channels = 8;
  border.options = {.padding = 1};
  border.bias = true;
  Conv2dCase phases = large;
  phases.kernel = 3;
  phases.outputs = 5;
  phases.options = {.stride = 2, .padding = 1};
  Conv2dCase depthwise = large;
  depthwise.kernel = 3;
  depthwise.options = {.padding = 1, .groups = 64};
  Conv2dCase half_lines = large;
  half_lines.options.groups = 8;
  Conv2dCase strided_depthwise = depthwise;
  strided_depthwise.options.stride = 2;
  strided_depthwise.batch = 16;
  const Conv2dCase many_images{.batch = 520,
                               .input = 8,
                               .kernel = 3,
                               .channels = 4,
                               .outputs = 128,
                               .options = {.stride = 2, .padding = 1}};
  for (const Conv2dCase& c :
       {large, several_panels, border, phases, half_lines, depthwise, strided_depthwise, many_images}) {
    const Conv2dOperands o = operands_of(c, generator);
    expect_close(c, run_f32(tested(), c, o), run(Engine::kReference, c, o), f32_tolerance(c));
  }
}

TEST_P(Conv2dEngines, HaveBackwardPassesThatAreAdjoint) {
  const auto dot = [](const Tensor& a, const Tensor& b) {
    double sum = 0.0;
    for (int64_t i = 0; i < a.numel(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
    return sum;
  };
  Generator generator(5);
  for (int i = 0; i < 50; ++i) {
    Conv2dCase c = random_conv2d_case(generator);
    c.bias = false;
    const Conv2dOperands o = operands_of(c, generator);
    const Conv2dResults r = run(tested(), c, o);
    const double forward = dot(r.y, o.dy);
    const double tolerance = 1e-12 * std::sqrt(dot(r.y, r.y) * dot(o.dy, o.dy)) + 1e-12;
    EXPECT_NEAR(forward, dot(o.x, r.dx), tolerance) << c.str();
    EXPECT_NEAR(forward, dot(o.w, r.dw), tolerance) << c.str();
  }
}

TEST_P(Conv2dEngines, HaveBackwardPassesThatAreAdjointInF32) {
  const auto dot = [](const Tensor& a, const Tensor& b) {
    double sum = 0.0;
    for (int64_t i = 0; i < a.numel(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
    return sum;
  };
  Generator generator(8);
  for (int i = 0; i < 40; ++i) {
    Conv2dCase c = i % 2 == 0 ? random_conv2d_case(generator) : random_winograd_case(generator);
    c.bias = false;
    const Conv2dOperands o = operands_of(c, generator);
    const Conv2dResults r = run_f32(tested(), c, o);
    const double forward = dot(r.y, o.dy);
    const double tolerance = 1e-5 * std::sqrt(dot(r.y, r.y) * dot(o.dy, o.dy)) + 1e-6;
    EXPECT_NEAR(forward, dot(o.x, r.dx), tolerance) << c.str();
    EXPECT_NEAR(forward, dot(o.w, r.dw), tolerance) << c.str();
  }
}

TEST_P(Conv2dEngines, GiveEqualBitsForAnyNumberOfThreads) {
  test::expect_equal_bits_for_any_threads(tested());
}

TEST_P(Conv2dEngines, TakeAnEmptyBatch) {
  for (const int64_t groups : {1, 4}) {
    const Conv2dCase c{
        .batch = 0, .input = 5, .kernel = 3, .channels = 4, .outputs = 4, .options = {.groups = groups}};
    Generator generator(7);
    const Conv2dResults r = run_f32(tested(), c, operands_of(c, generator));
    EXPECT_EQ(r.y.numel(), 0);
    EXPECT_THAT(r.dw.to_vector<double>(), testing::Each(0.0));
  }
}

TEST_P(Conv2dEngines, TakeNoInputChannels) {
  for (const auto& [batch, kernel] : {std::pair{1, 3}, {40, 3}, {1, 1}}) {
    const Conv2dCase c{
        .batch = batch, .input = 6, .kernel = kernel, .channels = 0, .outputs = 70, .options = {}};
    Generator generator(9);
    const Conv2dResults r = run_f32(tested(), c, operands_of(c, generator));
    EXPECT_THAT(r.y.to_vector<double>(), testing::Each(0.0)) << c.str();
    EXPECT_EQ(r.dw.numel(), 0);
  }
}

TEST(Conv2dPlan, SaysInWordsWhyItChose) {
  const ScopedEngine scope(Engine::kNative);
  using cpu::Conv2dAlgorithm;
  using cpu::Conv2dPass;
  const Conv2dCase wide{
      .batch = 128, .input = 16, .kernel = 3, .channels = 32, .outputs = 32, .options = {.padding = 1}};
  EXPECT_EQ(plan_of(wide, Conv2dPass::kForward).algorithm, Conv2dAlgorithm::kWinograd);
  EXPECT_EQ(plan_of(wide, Conv2dPass::kForward, DType::kF64).algorithm, Conv2dAlgorithm::kOpenBlas);
  Conv2dCase narrow = wide;
  narrow.channels = 16;
  EXPECT_EQ(plan_of(narrow, Conv2dPass::kBackwardWeight).algorithm, Conv2dAlgorithm::kDirect);
  EXPECT_THAT(plan_of(narrow, Conv2dPass::kBackwardWeight).reason, testing::HasSubstr("16 and 32 channels"));
  Conv2dCase depthwise = wide;
  depthwise.options.groups = 32;
  EXPECT_EQ(plan_of(depthwise, Conv2dPass::kBackwardData).algorithm, Conv2dAlgorithm::kDepthwise);
  EXPECT_EQ(plan_of(depthwise, Conv2dPass::kForward, DType::kF64).algorithm,
            Conv2dAlgorithm::kDepthwiseLoops);
  Conv2dCase tiny = wide;
  tiny.input = 2;
  EXPECT_THAT(plan_of(tiny, Conv2dPass::kForward).reason, testing::HasSubstr("25 % of the pixels"));
  EXPECT_THAT(
      cpu::conv2d_plans(),
      testing::Contains(testing::HasSubstr(
          "forward x [128, 16, 16, 32], w [32, 3, 3, 32], stride 1 1, padding 1 1, dilation 1 1, groups 1")));
}

INSTANTIATE_TEST_SUITE_P(All, Conv2dEngines, testing::ValuesIn(variants()), [](const auto& info) {
  const std::string engine(name_of(info.param.engine));
  return info.param.engine == Engine::kNative ? engine + "_" + std::string(cpu::name_of(info.param.isa))
                                              : engine;
});

}  // namespace
}  // namespace ds
