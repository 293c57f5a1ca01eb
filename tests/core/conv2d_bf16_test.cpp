// Convolutions with products of bf16: near the reference, exact where both factors are bf16 numbers.
#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "core/cpu/conv2d/fused_conv2d.h"
#include "core/ops.h"
#include "tests/layers/support.h"
#include "tests/support/conv2d_cases.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using cpu::Conv2dPass;
using test::Conv2dCase;
using test::Conv2dOperands;
using test::Conv2dResults;
using test::expect_close;
using test::operands_of;
using test::plan_of;
using test::run;
using test::run_f32;
using test::ScopedPrecision;
using testing::HasSubstr;

// Rounding to 8 bits changes a factor by up to 2^-9; Winograd's transforms multiply errors by some ten.
constexpr double kLargestDirectError = 0.03;
constexpr double kWinogradError = 0.05;

/// The RMS of the difference, relative to that of what is expected.
double relative_rms(const Tensor& found, const Tensor& expected) {
  double errors = 0.0;
  double squares = 0.0;
  for (int64_t i = 0; i < expected.numel(); ++i) {
    const double error = found.data<double>()[i] - expected.data<double>()[i];
    errors += error * error;
    squares += expected.data<double>()[i] * expected.data<double>()[i];
  }
  return std::sqrt(errors / squares);
}

/// By every instruction set: avx512 with the processor's instructions for bf16 where it has them, all others
/// by f32 arithmetic.
class Conv2dBf16 : public testing::TestWithParam<cpu::Isa> {
  const test::ScopedIsa isa_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Isas, Conv2dBf16, testing::ValuesIn(cpu::available_isas()),
                         [](const auto& info) { return std::string(cpu::name_of(info.param)); });

TEST_P(Conv2dBf16, AgreesWithTheReferenceOnRandomShapes) {
  const ScopedPrecision precision(Precision::kBf16);
  Generator generator(1);
  int by_bf16 = 0;
  for (int i = 0; i < 600 && !HasFailure(); ++i) {
    const Conv2dCase c = test::random_conv2d_case(generator);
    if (plan_of(c, Conv2dPass::kForward).algorithm == cpu::Conv2dAlgorithm::kWinograd) continue;
    const Conv2dOperands o = operands_of(c, generator);
    by_bf16 += plan_of(c, Conv2dPass::kForward).precision == Precision::kBf16 ? 1 : 0;
    expect_close(c, run_f32(Engine::kNative, c, o), run(Engine::kReference, c, o), kLargestDirectError);
  }
  EXPECT_GT(by_bf16, 200);
}

TEST_P(Conv2dBf16, AgreesWithTheReferenceOnShapesOfWinograd) {
  const ScopedPrecision precision(Precision::kBf16);
  Generator generator(4);
  int by_bf16 = 0;
  for (int i = 0; i < 100 && !HasFailure(); ++i) {
    const Conv2dCase c = test::random_winograd_case(generator);
    const Conv2dOperands o = operands_of(c, generator);
    const cpu::Conv2dPlan plan = plan_of(c, Conv2dPass::kForward);
    by_bf16 +=
        plan.algorithm == cpu::Conv2dAlgorithm::kWinograd && plan.precision == Precision::kBf16 ? 1 : 0;
    const Conv2dResults found = run_f32(Engine::kNative, c, o);
    const Conv2dResults expected = run(Engine::kReference, c, o);
    EXPECT_LE(relative_rms(found.y, expected.y), kWinogradError) << c.str();
    EXPECT_LE(relative_rms(found.dx, expected.dx), kWinogradError) << c.str();
    EXPECT_LE(relative_rms(found.dw, expected.dw), kWinogradError) << c.str();
  }
  EXPECT_GT(by_bf16, 25);
}

TEST_P(Conv2dBf16, AgreesWithTheReferenceOnSmallTilesOfWinograd) {
  const ScopedPrecision precision(Precision::kBf16);
  Generator generator(5);
  const Conv2dCase c{.batch = 1, .input = 9, .kernel = 3, .channels = 34, .outputs = 35, .options = {}};
  const Conv2dOperands o = operands_of(c, generator);
  const cpu::FusedConv2d convolution(c.x(), o.w.to(DType::kF32), {}, {});
  EXPECT_EQ(convolution.plan().side, cpu::WinogradSide::k2);
  EXPECT_EQ(convolution.plan().precision, Precision::kBf16);
  const Tensor found = convolution(o.x.to(DType::kF32)).to(DType::kF64);
  EXPECT_LE(relative_rms(found, run(Engine::kReference, c, o).y), kWinogradError);
}

TEST_P(Conv2dBf16, IsExactForPowersOfTwoAndSmallIntegers) {
  Generator generator(2);
  const std::vector<Conv2dCase> cases = {
      {.batch = 3,
       .input = 17,
       .kernel = 3,
       .channels = 10,
       .outputs = 40,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 40,
       .input = 8,
       .kernel = 3,
       .channels = 64,
       .outputs = 66,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 4, .input = {65, 64}, .kernel = 2, .channels = 8, .outputs = 64, .options = {.padding = 1}},
      {.batch = 2, .input = 16, .kernel = 1, .channels = 48, .outputs = 18, .options = {}},
      {.batch = 9, .input = 4, .kernel = 1, .channels = 50, .outputs = 70, .options = {.groups = 2}}};
  for (const Conv2dCase& c : cases) {
    Conv2dOperands o = operands_of(c, generator);
    for (Tensor* values : {&o.x, &o.dy}) {
      for (int64_t i = 0; i < values->numel(); ++i)
        values->data<double>()[i] = std::round(8 * values->data<double>()[i]);
    }
    o.w = ops::shift_q(o.w, {.range = {.p_min = -7, .p_max = 0}});
    const Conv2dResults expected = run(Engine::kReference, c, o);
    const ScopedPrecision precision(Precision::kBf16);
    const Conv2dResults found = run_f32(Engine::kNative, c, o);
    EXPECT_EQ(found.y.to_vector<double>(), expected.y.to_vector<double>()) << c.str();
    EXPECT_EQ(found.dx.to_vector<double>(), expected.dx.to_vector<double>()) << c.str();
    EXPECT_EQ(found.dw.to_vector<double>(), expected.dw.to_vector<double>()) << c.str();
  }
}

/// As Bf16 does, whether words end with a vector or within one, and nothing behind them is written.
TEST_P(Conv2dBf16, PairsRoundToNearestEven) {
  const cpu::DirectKernels& kernels = cpu::direct_kernels(Precision::kBf16);
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values = {
      0.0F, -0.0F, inf,    -inf,      std::nanf(""), -std::nanf("0x3fffff"), 3.4e38F,
      1.0F, -3.5F, 1e-30F, 0x1.01p0F, 0x1.03p0F,     0x1.010002p0F,          0x1.02fffep0F};
  Generator generator(6);
  while (values.size() < 128) values.push_back(static_cast<float>(generator.normal()));
  for (int64_t words = 1; words <= 64; ++words) {
    const auto beyond = std::bit_cast<float>(0x12345678U);
    std::vector<float> pairs(static_cast<size_t>(words) + 1, beyond);
    kernels.pair_neighbours(values.data(), words, pairs.data());
    for (int64_t w = 0; w < words; ++w) {
      const auto word = std::bit_cast<uint32_t>(pairs[static_cast<size_t>(w)]);
      EXPECT_EQ(word & 0xFFFF, Bf16(values[static_cast<size_t>(2 * w)]).bits)
          << values[static_cast<size_t>(2 * w)];
      EXPECT_EQ(word >> 16, Bf16(values[static_cast<size_t>(2 * w + 1)]).bits);
    }
    EXPECT_EQ(pairs.back(), beyond) << words;
  }
}

/// Products are exact, and sums are made in one order but for where the work is cut.
TEST_P(Conv2dBf16, GivesWhatTheBestInstructionSetGives) {
  const ScopedPrecision precision(Precision::kBf16);
  Generator generator(7);
  const Conv2dCase c{.batch = 3,
                     .input = 13,
                     .kernel = 3,
                     .channels = 30,
                     .outputs = 36,
                     .options = {.stride = 2, .padding = 1}};
  for (const auto pass : {Conv2dPass::kForward, Conv2dPass::kBackwardData, Conv2dPass::kBackwardWeight}) {
    ASSERT_EQ(plan_of(c, pass).precision, Precision::kBf16);
    ASSERT_EQ(plan_of(c, pass).algorithm, cpu::Conv2dAlgorithm::kDirect);
  }
  const Conv2dOperands o = operands_of(c, generator);
  const Conv2dResults found = run_f32(Engine::kNative, c, o);
  const test::ScopedIsa best(cpu::available_isas().front());
  expect_close(c, found, run_f32(Engine::kNative, c, o), 1e-6);
}

TEST_P(Conv2dBf16, GivesEqualBitsForAnyNumberOfThreads) {
  const ScopedPrecision precision(Precision::kBf16);
  test::expect_equal_bits_for_any_threads(Engine::kNative);
}

TEST_P(Conv2dBf16, IsPlannedWhereChannelsMakePairs) {
  const ScopedPrecision precision(Precision::kBf16);
  const test::ScopedEngine engine(Engine::kNative);
  Conv2dCase c{
      .batch = 4, .input = 16, .kernel = 3, .channels = 32, .outputs = 32, .options = {.padding = 1}};
  EXPECT_EQ(plan_of(c, Conv2dPass::kForward).precision, Precision::kBf16);
  EXPECT_THAT(plan_of(c, Conv2dPass::kForward).reason, HasSubstr("; bf16"));
  c.channels = 3;
  EXPECT_EQ(plan_of(c, Conv2dPass::kForward).precision, Precision::kF32);
  EXPECT_THAT(plan_of(c, Conv2dPass::kForward).reason, HasSubstr("f32: 3 channels make no pairs"));
  EXPECT_EQ(plan_of(c, Conv2dPass::kBackwardData).precision, Precision::kBf16);
  EXPECT_EQ(plan_of(c, Conv2dPass::kForward, DType::kF64).precision, Precision::kF32);
}

TEST(Precision, NamesAreRead) {
  EXPECT_EQ(parse_precision("bf16"), Precision::kBf16);
  EXPECT_EQ(parse_precision("f32"), Precision::kF32);
  EXPECT_THAT(test::error_of([] { parse_precision("f16"); }), HasSubstr("expected f32, tf32 or bf16"));
}

TEST(Precision, Tf32IsRefusedOnTheCpu) {
  EXPECT_THAT(test::error_of([] { set_precision(Precision::kTf32); }), HasSubstr("tf32 is of CUDA devices"));
  EXPECT_EQ(precision(), Precision::kF32);
}

}  // namespace
}  // namespace ds
