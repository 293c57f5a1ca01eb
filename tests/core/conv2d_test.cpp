// Convolutions: the reference against numbers worked out by hand, the other engines against the reference on
// random shapes, and all of them against the definition of an adjoint.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "core/backend.h"
#include "core/cpu/kernels/select.h"
#include "core/random.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::ScopedEngine;
using test::ScopedThreads;
using testing::ElementsAre;

struct Case {
  int64_t batch = 1;
  Size2d input = 1;
  Size2d kernel = 1;
  int64_t channels = 1;
  int64_t outputs = 1;
  Conv2dOptions options;
  bool bias = false;

  Shape x() const { return {batch, input.height, input.width, channels}; }
  Shape w() const { return {outputs, kernel.height, kernel.width, channels / options.groups}; }
  Size2d output() const {
    const Conv2dOptions& o = options;
    return {window_count(input.height, kernel.height, o.stride.height, o.padding.height, o.dilation.height),
            window_count(input.width, kernel.width, o.stride.width, o.padding.width, o.dilation.width)};
  }
  Shape y() const { return {batch, output().height, output().width, outputs}; }
  std::string str() const {
    const Conv2dOptions& o = options;
    return fmt::format("x {}, w {}, stride {} {}, padding {} {}, dilation {} {}, groups {}, bias {}",
                       x().str(), w().str(), o.stride.height, o.stride.width, o.padding.height,
                       o.padding.width, o.dilation.height, o.dilation.width, o.groups, bias);
  }
};

struct Operands {
  Tensor x;
  Tensor w;
  Tensor bias;
  Tensor dy;
};

struct Results {
  Tensor y;
  Tensor dx;
  Tensor dw;
};

Operands operands_of(const Case& c, Generator& generator) {
  const auto normal = [&](const Shape& shape) {
    Tensor result = Tensor::empty(shape, DType::kF64);
    fill_normal(result, 0.0, 1.0, generator);
    return result;
  };
  return {.x = normal(c.x()),
          .w = normal(c.w()),
          .bias = c.bias ? normal({c.outputs}) : Tensor{},
          .dy = normal(c.y())};
}

template <class To, class From>
Tensor converted(const Tensor& x) {
  if (!x.defined()) return {};
  std::vector<To> values;
  for (const From value : x.span<From>()) values.push_back(static_cast<To>(value));
  return Tensor::from(values, x.shape());
}

/// Outputs start as NaN: what a kernel leaves out is seen.
Results run(Engine engine, const Case& c, const Operands& o) {
  const ScopedEngine scope(engine);
  const auto unwritten = [&](const Shape& shape) {
    return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), o.x.dtype());
  };
  Results r{.y = unwritten(c.y()), .dx = unwritten(c.x()), .dw = unwritten(c.w())};
  kernels(Device{}).conv2d(o.x, o.w, o.bias, c.options, r.y);
  kernels(Device{}).conv2d_backward_data(o.dy, o.w, c.options, r.dx);
  kernels(Device{}).conv2d_backward_weight(o.dy, o.x, c.options, r.dw);
  return r;
}

Results run_f32(Engine engine, const Case& c, const Operands& o) {
  const Results r = run(engine, c,
                        {.x = converted<float, double>(o.x),
                         .w = converted<float, double>(o.w),
                         .bias = converted<float, double>(o.bias),
                         .dy = converted<float, double>(o.dy)});
  return {.y = converted<double, float>(r.y),
          .dx = converted<double, float>(r.dx),
          .dw = converted<double, float>(r.dw)};
}

/// Relative to sqrt(terms): elements are sums of that many products of standard normals.
double worst_error(const Tensor& found, const Tensor& expected, int64_t terms) {
  const auto a = found.to_vector<double>();
  const auto b = expected.to_vector<double>();
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]) / std::sqrt(1.0 + static_cast<double>(terms));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

void expect_close(const Case& c, const Results& found, const Results& expected, double tolerance) {
  const int64_t positions = c.kernel.height * c.kernel.width;
  EXPECT_LE(worst_error(found.y, expected.y, positions * c.channels / c.options.groups), tolerance)
      << c.str();
  EXPECT_LE(worst_error(found.dx, expected.dx, positions * c.outputs / c.options.groups), tolerance)
      << c.str();
  EXPECT_LE(worst_error(found.dw, expected.dw, c.y().rows()), tolerance) << c.str();
}

Case random_case(Generator& generator) {
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator.below(static_cast<uint32_t>(high - low + 1)));
  };
  Case c;
  do {
    c.batch = between(1, 4);
    c.input = {between(1, 14), between(1, 14)};
    c.kernel = {between(1, 5), between(1, 5)};
    c.options.stride = {between(1, 4), between(1, 4)};
    c.options.padding = {between(0, 3), between(0, 3)};
    c.options.dilation = {between(1, 3), between(1, 3)};
    if (between(0, 3) == 0) c.kernel = {1, 1};
    if (between(0, 1) == 0) c.options.stride = 1;
    if (between(0, 1) == 0) c.options.dilation = 1;
    if (between(0, 3) == 0) c.options.padding = 0;
  } while (c.output().height == 0 || c.output().width == 0);
  switch (between(0, 3)) {
    case 0:  // depthwise, with up to two outputs a channel
      c.options.groups = c.channels = between(1, 20);
      c.outputs = c.channels * between(1, 2);
      break;
    case 1:
      c.options.groups = between(1, 4);
      c.channels = c.options.groups * between(1, 9);
      c.outputs = c.options.groups * between(1, 9);
      break;
    default: c.channels = between(1, 35), c.outputs = between(1, 35); break;
  }
  c.bias = between(0, 1) == 1;
  return c;
}

TEST(Conv2d, ReferenceConvolvesAsByHand) {
  const Case c{.input = 3, .kernel = 2, .options = {}};
  const Operands o{.x = Tensor::from(std::vector<double>{1, 2, 3, 4, 5, 6, 7, 8, 9}, c.x()),
                   .w = Tensor::from(std::vector<double>{1, 2, 3, 4}, c.w()),
                   .bias = {},
                   .dy = Tensor::full(c.y(), 1.0, DType::kF64)};
  const Results r = run(Engine::kReference, c, o);
  EXPECT_THAT(r.y.to_vector<double>(), ElementsAre(37, 47, 67, 77));
  EXPECT_THAT(r.dx.to_vector<double>(), ElementsAre(1, 3, 2, 4, 10, 6, 3, 7, 4));
  EXPECT_THAT(r.dw.to_vector<double>(), ElementsAre(12, 16, 24, 28));
}

TEST(Conv2d, ReferenceTakesStridePaddingDilationAndGroupsAsByHand) {
  // Output column 0 reads the padding and input column 1, output column 1 reads input column 0 and the
  // padding.
  const Case c{.input = 2,
               .kernel = {1, 2},
               .channels = 2,
               .outputs = 2,
               .options = {.stride = {2, 1}, .padding = {0, 1}, .dilation = {1, 2}, .groups = 2},
               .bias = true};
  const Operands o{.x = Tensor::from(std::vector<double>{1, 5, 2, 6, 3, 7, 4, 8}, c.x()),
                   .w = Tensor::from(std::vector<double>{1, 10, 2, 20}, c.w()),
                   .bias = Tensor::from(std::vector<double>{0.5, -1}, {2}),
                   .dy = Tensor::from(std::vector<double>{1, 2, 3, 4}, c.y())};
  const Results r = run(Engine::kReference, c, o);
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
  for (int i = 0; i < 200 && !HasFailure(); ++i) {
    const Case c = random_case(generator);
    const Operands o = operands_of(c, generator);
    const Results expected = run(Engine::kReference, c, o);
    expect_close(c, run(tested(), c, o), expected, 1e-13);
    expect_close(c, run_f32(tested(), c, o), expected, 1e-5);
  }
}

TEST_P(Conv2dEngines, AgreeWithTheReferenceWhereWorkIsCut) {
  Generator generator(2);
  const std::vector<Case> cases = {
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
      {.batch = 2, .input = {40, 41}, .kernel = 3, .channels = 33, .outputs = 7, .options = {.stride = 2}},
      {.batch = 2, .input = 45, .kernel = 1, .channels = 9, .outputs = 33, .options = {.stride = 1}},
      {.batch = 3,
       .input = 30,
       .kernel = 3,
       .channels = 40,
       .outputs = 40,
       .options = {.padding = 1, .groups = 40}},
      {.batch = 40,
       .input = 9,
       .kernel = 3,
       .channels = 33,
       .outputs = 5,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 2, .input = 9, .kernel = 3, .channels = 1, .outputs = 1, .options = {.padding = 4}}};
  for (const Case& c : cases) {
    const Operands o = operands_of(c, generator);
    const Results expected = run(Engine::kReference, c, o);
    expect_close(c, run(tested(), c, o), expected, 1e-13);
    expect_close(c, run_f32(tested(), c, o), expected, 1e-5);
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
    Case c = random_case(generator);
    c.bias = false;
    const Operands o = operands_of(c, generator);
    const Results r = run(tested(), c, o);
    const double forward = dot(r.y, o.dy);
    const double tolerance = 1e-12 * std::sqrt(dot(r.y, r.y) * dot(o.dy, o.dy)) + 1e-12;
    EXPECT_NEAR(forward, dot(o.x, r.dx), tolerance) << c.str();
    EXPECT_NEAR(forward, dot(o.w, r.dw), tolerance) << c.str();
  }
}

TEST_P(Conv2dEngines, GiveEqualBitsForAnyNumberOfThreads) {
  Generator generator(6);
  const std::vector<Case> cases = {
      {.batch = 9, .input = 16, .kernel = 3, .channels = 8, .outputs = 24, .options = {.padding = 1}},
      {.batch = 5,
       .input = 17,
       .kernel = 3,
       .channels = 24,
       .outputs = 24,
       .options = {.stride = 2, .padding = 1}},
      {.batch = 5,
       .input = 17,
       .kernel = 3,
       .channels = 24,
       .outputs = 24,
       .options = {.padding = 1, .groups = 24}},
      {.batch = 1, .input = 7, .kernel = 3, .channels = 64, .outputs = 256, .options = {.padding = 1}}};
  for (const Case& c : cases) {
    const Operands o = operands_of(c, generator);
    std::vector<Results> results;
    for (const int threads : {1, 2, 3}) {
      const ScopedThreads scope(threads);
      results.push_back(run_f32(tested(), c, o));
    }
    for (const size_t i : {1, 2}) {
      EXPECT_EQ(results[0].y.to_vector<double>(), results[i].y.to_vector<double>()) << c.str();
      EXPECT_EQ(results[0].dx.to_vector<double>(), results[i].dx.to_vector<double>()) << c.str();
      EXPECT_EQ(results[0].dw.to_vector<double>(), results[i].dw.to_vector<double>()) << c.str();
    }
  }
}

TEST_P(Conv2dEngines, TakeAnEmptyBatch) {
  for (const int64_t groups : {1, 4}) {
    const Case c{
        .batch = 0, .input = 5, .kernel = 3, .channels = 4, .outputs = 4, .options = {.groups = groups}};
    Generator generator(7);
    const Results r = run_f32(tested(), c, operands_of(c, generator));
    EXPECT_EQ(r.y.numel(), 0);
    EXPECT_THAT(r.dw.to_vector<double>(), testing::Each(0.0));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Conv2dEngines, testing::ValuesIn(variants()), [](const auto& info) {
  const std::string engine(name_of(info.param.engine));
  return info.param.engine == Engine::kNative ? engine + "_" + std::string(cpu::name_of(info.param.isa))
                                              : engine;
});

}  // namespace
}  // namespace ds
