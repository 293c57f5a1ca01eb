// y = alpha op(a) op(b): the reference against numbers worked out by hand, the other engines against
// the reference.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "core/backend.h"
#include "core/cpu/engines.h"
#include "core/random.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::ScopedEngine;
using test::ScopedThreads;
using testing::ElementsAre;

struct Case {
  int64_t rows = 1;
  int64_t columns = 1;
  int64_t depth = 1;
  GemmOptions options;

  std::string str() const {
    return fmt::format("{} x {} x {}, transpose {} {}, alpha {}", rows, columns, depth, options.transpose_a,
                       options.transpose_b, options.alpha);
  }
};

Tensor normal(const Shape& shape, DType dtype, Generator& generator) {
  Tensor result = Tensor::empty(shape, dtype);
  fill_normal(result, 0.0, 1.0, generator);
  return result;
}

/// What is in y before must not be read: it is NaN.
Tensor run(Engine engine, const Case& c, const Tensor& a, const Tensor& b) {
  const ScopedEngine scope(engine);
  Tensor result = Tensor::full({c.rows, c.columns}, std::numeric_limits<double>::quiet_NaN(), a.dtype());
  kernels(Device{}).gemm(a, b, c.options, result);
  return result;
}

struct Operands {
  Tensor a;
  Tensor b;
};

Operands operands_of(const Case& c, DType dtype, Generator& generator) {
  const Shape a = c.options.transpose_a ? Shape{c.depth, c.rows} : Shape{c.rows, c.depth};
  const Shape b = c.options.transpose_b ? Shape{c.columns, c.depth} : Shape{c.depth, c.columns};
  return {.a = normal(a, dtype, generator), .b = normal(b, dtype, generator)};
}

/// Elements are sums of `depth` products of standard normals: their size is sqrt(depth).
double worst_error(const Tensor& found, const Tensor& expected, int64_t depth) {
  const auto a = found.to_vector<double>();
  const auto b = expected.to_vector<double>();
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]) / std::sqrt(1.0 + static_cast<double>(depth));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

Tensor widened(const Tensor& x) {
  if (x.dtype() == DType::kF64) return x;
  std::vector<double> values;
  for (const float value : x.span<float>()) values.push_back(value);
  return Tensor::from(values, x.shape());
}

TEST(Gemm, ReferenceMultipliesAsByHand) {
  const Tensor a = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor b = Tensor::from(std::vector<double>{7, 8, 9, 10, 11, 12}, {3, 2});
  const Case plain{.rows = 2, .columns = 2, .depth = 3, .options = {}};
  EXPECT_THAT(run(Engine::kReference, plain, a, b).to_vector<double>(), ElementsAre(58, 64, 139, 154));
  // The same memory read as a [3, 2] and b [2, 3]: a^T b^T.
  Case transposed = plain;
  transposed.options = {.transpose_a = true, .transpose_b = true};
  EXPECT_THAT(run(Engine::kReference, transposed, a.reshape({3, 2}), b.reshape({2, 3})).to_vector<double>(),
              ElementsAre(1 * 7 + 3 * 8 + 5 * 9, 1 * 10 + 3 * 11 + 5 * 12, 2 * 7 + 4 * 8 + 6 * 9,
                          2 * 10 + 4 * 11 + 6 * 12));
}

class GemmEngines : public testing::TestWithParam<Engine> {};

TEST_P(GemmEngines, AgreeWithTheReference) {
  Generator generator(3);
  const auto size = [&] {
    return generator.below(4) == 0 ? 1 : 1 + static_cast<int64_t>(generator.below(40));
  };
  for (int i = 0; i < 250; ++i) {
    Case c{.rows = size(), .columns = size(), .depth = size(), .options = {}};
    if (generator.below(10) == 0) c.depth = 0;
    if (generator.below(20) == 0) c.columns += 600;  // several blocks
    if (generator.below(20) == 0) c.rows += 300;
    c.options = {.transpose_a = generator.below(2) == 1,
                 .transpose_b = generator.below(2) == 1,
                 .alpha = std::array{1.0, -0.5, 2.0}[generator.below(3)]};
    for (const DType dtype : {DType::kF64, DType::kF32}) {
      const Operands o = operands_of(c, dtype, generator);
      const Tensor expected = run(Engine::kReference, c, widened(o.a), widened(o.b));
      const Tensor found = widened(run(GetParam(), c, o.a, o.b));
      ASSERT_LE(worst_error(found, expected, c.depth), dtype == DType::kF64 ? 1e-13 : 4e-6) << c.str();
    }
  }
}

TEST_P(GemmEngines, AgreeWithTheReferenceOnLinearLayers) {
  Generator generator(5);
  for (int i = 0; i < 60; ++i) {
    const Case c{.rows = 40 + static_cast<int64_t>(generator.below(300)),
                 .columns = 1 + static_cast<int64_t>(generator.below(130)),
                 .depth = 1 + static_cast<int64_t>(generator.below(200)),
                 .options = {.transpose_b = i % 2 == 0}};
    const Operands o = operands_of(c, DType::kF32, generator);
    const Tensor expected = run(Engine::kReference, c, widened(o.a), widened(o.b));
    const Tensor found = widened(run(GetParam(), c, o.a, o.b));
    ASSERT_LE(worst_error(found, expected, c.depth), 4e-6) << c.str();
  }
}

TEST(Gemm, NativeTakesLargeProductsOfLinearLayersOnly) {
  const auto suits = [](const Case& c, DType dtype = DType::kF32) {
    return cpu::suits_gemm_native(Tensor::empty({c.rows, c.depth}, dtype), c.options,
                                  Tensor::empty({c.rows, c.columns}, dtype));
  };
  const Case large{.rows = 32, .columns = 10, .depth = 20, .options = {.transpose_b = true}};
  EXPECT_TRUE(suits(large));
  EXPECT_FALSE(suits(large, DType::kF64));
  Case few_rows = large;
  few_rows.rows = 31;
  Case scaled = large;
  scaled.options.alpha = 0.5;
  Case turned = large;
  turned.options.transpose_a = true;
  for (const Case& c : {few_rows, scaled, turned}) EXPECT_FALSE(suits(c)) << c.str();
}

TEST_P(GemmEngines, GiveEqualBitsForAnyNumberOfThreads) {
  Generator generator(4);
  for (const int64_t rows : {1, 37, 300}) {
    const Case c{.rows = rows, .columns = 700, .depth = 65, .options = {.transpose_b = true}};
    const Operands o = operands_of(c, DType::kF32, generator);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3}) {
      const ScopedThreads scope(threads);
      results.push_back(run(GetParam(), c, o.a, o.b).to_vector<float>());
    }
    EXPECT_EQ(results[0], results[1]) << c.str();
    EXPECT_EQ(results[0], results[2]) << c.str();
  }
}

TEST_P(GemmEngines, TakeMatricesWithoutElements) {
  const ScopedEngine scope(GetParam());
  Tensor nothing = Tensor::empty({0, 3});
  kernels(Device{}).gemm(Tensor::empty({0, 2}), Tensor::zeros({2, 3}), {}, nothing);
  Tensor kept = Tensor::full({1, 2}, 3.0);
  kernels(Device{}).gemm(Tensor::empty({1, 0}), Tensor::empty({0, 2}), {}, kept);
  EXPECT_THAT(kept.to_vector<float>(), ElementsAre(0.0F, 0.0F)) << "the sum of no products";
}

INSTANTIATE_TEST_SUITE_P(All, GemmEngines, testing::ValuesIn(kEngines),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace ds
