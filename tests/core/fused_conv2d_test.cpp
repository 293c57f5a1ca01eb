// Convolutions with packed filters and what follows them, against the plain ones followed by plain
// operations.
#include "core/cpu/conv2d/fused_conv2d.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "core/ops.h"
#include "tests/layers/support.h"
#include "tests/support/conv2d_cases.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::Conv2dCase;
using test::error_of;
using testing::HasSubstr;

Tensor normal(const Shape& shape, Generator& generator) {
  Tensor values = Tensor::empty(shape);
  fill_normal(values, 0.0, 1.0, generator);
  return values;
}

/// test::worst_error of f32 tensors.
double worst_error(const Tensor& found, const Tensor& expected, int64_t terms) {
  return test::worst_error(found.to(DType::kF64), expected.to(DType::kF64), terms);
}

/// conv2d by the reference, then addition and clamp, one after the other.
Tensor expected_of(const Conv2dCase& c, const Tensor& x, const Tensor& w, const Tensor& bias,
                   const Tensor& shortcut, const cpu::FusedConv2dOptions& options) {
  const test::ScopedEngine scope(Engine::kReference);
  Tensor y = ops::conv2d(x, w, bias, c.options);
  if (shortcut.defined()) y = ops::arithmetic(Arithmetic::kAdd, y, shortcut);
  return ops::clamp(y, options.low, options.high);
}

/// Returns the plan that was tested.
cpu::Conv2dPlan check(const Conv2dCase& c, int epilogue, Generator& generator) {
  const Tensor x = normal(c.x(), generator);
  const Tensor w = normal(c.w(), generator);
  const Tensor bias = c.bias ? normal({c.outputs}, generator) : Tensor{};
  const Tensor shortcut = epilogue % 2 == 1 ? normal(c.y(), generator) : Tensor{};
  cpu::FusedConv2dOptions options{.convolution = c.options};
  if (epilogue >= 2) options.low = 0.0F;
  if (epilogue >= 4) options.high = 6.0F;
  const cpu::FusedConv2d convolution(c.x(), w, bias, options);
  const Tensor y = convolution(x, shortcut);
  if (y.shape() != c.y()) {
    ADD_FAILURE() << y.shape().str() << " of " << c.str();
    return convolution.plan();
  }
  const bool winograd = convolution.plan().algorithm == cpu::Conv2dAlgorithm::kWinograd;
  EXPECT_LE(worst_error(y, expected_of(c, x, w, bias, shortcut, options), w.numel() / w.size(0)),
            winograd ? test::kWinogradTolerance : test::kDirectTolerance)
      << c.str() << ", epilogue " << epilogue;
  return convolution.plan();
}

class FusedConv2dIsas : public testing::TestWithParam<cpu::Isa> {
 private:
  test::ScopedIsa isa_{GetParam()};
};

TEST_P(FusedConv2dIsas, AgreeWithPlainOperationsOnRandomShapes) {
  Generator generator(1);
  for (int i = 0; i < 300 && !HasFailure(); ++i) check(test::random_conv2d_case(generator), i % 6, generator);
}

TEST_P(FusedConv2dIsas, AgreeWithPlainOperationsOnShapesOfWinograd) {
  Generator generator(2);
  std::map<cpu::WinogradSide, int> count;
  for (int i = 0; i < 120 && !HasFailure(); ++i) {
    const cpu::Conv2dPlan plan = check(test::random_winograd_case(generator), i % 6, generator);
    if (plan.algorithm == cpu::Conv2dAlgorithm::kWinograd) ++count[plan.side];
  }
  EXPECT_GT(count[cpu::WinogradSide::k2], 20);
  EXPECT_GT(count[cpu::WinogradSide::k4], 20);
}

TEST_P(FusedConv2dIsas, AgreeWithPlainOperationsWhereWorkIsCut) {
  Generator generator(3);
  const std::vector<Conv2dCase> cases = {
      {.batch = 1,
       .input = 112,
       .kernel = 3,
       .channels = 3,
       .outputs = 70,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 1, .input = 7, .kernel = 1, .channels = 40, .outputs = 200, .options = {.stride = 2}},
      {.batch = 2,
       .input = {3, 600},
       .kernel = {3, 5},
       .channels = 6,
       .outputs = 9,
       .options = {.padding = 2}},
      {.batch = 1, .input = 56, .kernel = 3, .channels = 64, .outputs = 64, .options = {.padding = 1}},
      {.batch = 9, .input = 28, .kernel = 3, .channels = 40, .outputs = 40, .options = {.padding = 1}},
      {.batch = 9,
       .input = 28,
       .kernel = 3,
       .channels = 40,
       .outputs = 40,
       .options = {.stride = 2, .padding = 1, .groups = 40}},
  };
  for (const Conv2dCase& c : cases) {
    for (const int epilogue : {0, 3}) check(c, epilogue, generator);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, FusedConv2dIsas, testing::ValuesIn(cpu::available_isas()),
                         [](const auto& info) { return std::string(cpu::name_of(info.param)); });

TEST(FusedConv2d, GivesTheSameBitsForAnyNumberOfThreads) {
  Generator generator(4);
  for (const auto& [side, tile] : {std::pair{7, cpu::WinogradSide::k2}, {14, cpu::WinogradSide::k4}}) {
    const Conv2dCase c{
        .batch = 1, .input = side, .kernel = 3, .channels = 64, .outputs = 64, .options = {.padding = 1}};
    const Tensor x = normal(c.x(), generator);
    const cpu::FusedConv2d convolution(c.x(), normal(c.w(), generator), {}, {.convolution = c.options});
    EXPECT_EQ(convolution.plan().side, tile);
    const auto with_threads = [&](int threads) {
      const test::ScopedThreads scope(threads);
      return convolution(x).to_vector<float>();
    };
    EXPECT_EQ(with_threads(1), with_threads(2)) << convolution.plan().reason;
  }
}

TEST(FusedConv2d, TakesSmallTilesWhereImagesAreFew) {
  const Tensor w = Tensor::zeros({32, 3, 3, 32});
  const auto plan = [&](const Shape& x) { return cpu::FusedConv2d(x, w, {}, {}).plan(); };
  const cpu::Conv2dPlan small = plan({1, 9, 9, 32});
  EXPECT_EQ(small.side, cpu::WinogradSide::k2);
  EXPECT_EQ(small.reason, "4 tiles of 4x4, Winograd pays from 8; tiles of 2x2: 4 products for 9");
  EXPECT_THAT(cpu::conv2d_plans(), testing::Contains(HasSubstr("groups 1, filters kept: Winograd, 4 tiles")));
  EXPECT_EQ(plan({2, 9, 9, 32}).side, cpu::WinogradSide::k4);
  EXPECT_EQ(plan({1, 6, 6, 32}).algorithm, cpu::Conv2dAlgorithm::kDirect);
}

TEST(FusedConv2d, TakesOtherBatchesThanItWasMadeFor) {
  Generator generator(5);
  Conv2dCase c{.batch = 1, .input = 9, .kernel = 3, .channels = 33, .outputs = 35, .options = {.padding = 1}};
  const Tensor w = normal(c.w(), generator);
  const cpu::FusedConv2d convolution(c.x(), w, {}, {.convolution = c.options});
  c.batch = 3;
  c.input = {5, 21};
  const Tensor x = normal(c.x(), generator);
  EXPECT_LE(worst_error(convolution(x), expected_of(c, x, w, {}, {}, {}), 9 * 33), test::kWinogradTolerance);

  c.batch = 1;
  c.input = 7;
  const cpu::FusedConv2d small(c.x(), w, {}, {.convolution = c.options});
  EXPECT_EQ(small.plan().side, cpu::WinogradSide::k2);
  c.batch = 60;  // so many tiles that they are taken in chunks
  const Tensor many = normal(c.x(), generator);
  EXPECT_LE(worst_error(small(many), expected_of(c, many, w, {}, {}, {}), 9 * 33), test::kWinogradTolerance);
}

TEST(FusedConv2d, KeepsItsFiltersAndItsEngine) {
  Generator generator(6);
  const Tensor x = normal({1, 9, 9, 32}, generator);
  for (const Engine engine : {Engine::kNative, Engine::kOpenBlas, Engine::kReference}) {
    for (const int64_t groups : {1, 32}) {
      for (const int64_t kernel : {3, 5}) {  // Winograd, direct, depthwise
        Tensor w = normal({32, kernel, kernel, 32 / groups}, generator);
        Tensor bias = normal({32}, generator);
        const auto convolution = [&] {
          const test::ScopedEngine scope(engine);
          return cpu::FusedConv2d(x.shape(), w, bias, {.convolution = {.groups = groups}});
        }();
        const auto before = convolution(x).to_vector<float>();
        w.fill(0.0);
        bias.fill(0.0);
        EXPECT_EQ(convolution(x).to_vector<float>(), before) << convolution.plan().reason;
      }
    }
  }
}

TEST(FusedConv2d, ANaNStaysOne) {
  const cpu::FusedConv2d convolution({1, 1, 1, 1}, Tensor::full({1, 1, 1, 1}, 1.0), {},
                                     {.low = 0.0F, .high = 6.0F});
  EXPECT_TRUE(std::isnan(convolution(Tensor::full({1, 1, 1, 1}, std::nan(""))).item()));
}

TEST(FusedConv2d, RefusesWhatDoesNotFit) {
  const Tensor w = Tensor::zeros({4, 3, 3, 2});
  EXPECT_THAT(error_of([&] { cpu::FusedConv2d({1, 8, 8, 3}, w, {}, {}); }), HasSubstr("has 3 channels"));
  EXPECT_THAT(error_of([&] {
                cpu::FusedConv2d({1, 8, 8, 2}, w, Tensor::zeros({3}), {});
              }),
              HasSubstr("bias is f32 [3] on cpu, expected f32 [4] on cpu"));
  EXPECT_THAT(error_of([&] {
                cpu::FusedConv2d({1, 8, 8, 2}, w.to(DType::kF64), {}, {});
              }),
              HasSubstr("expected f32"));
  const cpu::FusedConv2d convolution({1, 8, 8, 2}, w, {}, {});
  EXPECT_THAT(error_of([&] { convolution(Tensor::zeros({1, 8, 8, 3})); }), HasSubstr("has 3 channels"));
  EXPECT_THAT(error_of([&] {
                convolution(Tensor::zeros({1, 8, 8, 2}), Tensor::zeros({1, 8, 8, 4}));
              }),
              HasSubstr("shortcut is f32 [1, 8, 8, 4] on cpu, expected f32 [1, 6, 6, 4] on cpu"));
}

TEST(FusedConv2d, RefusesToRunOnAnotherInstructionSet) {
  const std::vector<cpu::Isa> isas = cpu::available_isas();
  if (isas.size() < 2) GTEST_SKIP() << "this processor has one instruction set only";
  const test::ScopedIsa first(isas[0]);
  const cpu::FusedConv2d convolution({1, 1, 1, 1}, Tensor::zeros({1, 1, 1, 1}), {}, {});
  const test::ScopedIsa second(isas[1]);
  EXPECT_THAT(error_of([&] {
                convolution(Tensor::zeros({1, 1, 1, 1}));
              }),
              HasSubstr(fmt::format("{} is in use now", cpu::name_of(isas[1]))));
}

}  // namespace
}  // namespace ds
