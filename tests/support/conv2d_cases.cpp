#include "tests/support/conv2d_cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/scoped.h"

namespace ds::test {

std::string Conv2dCase::str() const {
  const Conv2dOptions& o = options;
  return fmt::format("x {}, w {}, stride {} {}, padding {} {}, dilation {} {}, groups {}, bias {}", x().str(),
                     w().str(), o.stride.height, o.stride.width, o.padding.height, o.padding.width,
                     o.dilation.height, o.dilation.width, o.groups, bias);
}

Conv2dOperands operands_of(const Conv2dCase& c, Generator& generator) {
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

namespace {

template <class To, class From>
Tensor converted(const Tensor& x) {
  if (!x.defined()) return {};
  std::vector<To> values;
  for (const From value : x.span<From>()) values.push_back(static_cast<To>(value));
  return Tensor::from(values, x.shape());
}

}  // namespace

Conv2dResults run(Engine engine, const Conv2dCase& c, const Conv2dOperands& o) {
  const ScopedEngine scope(engine);
  const auto unwritten = [&](const Shape& shape) {
    return Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), o.x.dtype());
  };
  Conv2dResults r{.y = unwritten(c.y()), .dx = unwritten(c.x()), .dw = unwritten(c.w())};
  kernels(Device{}).conv2d(o.x, o.w, o.bias, c.options, r.y);
  kernels(Device{}).conv2d_backward_data(o.dy, o.w, c.options, r.dx);
  kernels(Device{}).conv2d_backward_weight(o.dy, o.x, c.options, r.dw);
  return r;
}

Conv2dResults run_f32(Engine engine, const Conv2dCase& c, const Conv2dOperands& o) {
  const Conv2dResults r = run(engine, c,
                              {.x = converted<float, double>(o.x),
                               .w = converted<float, double>(o.w),
                               .bias = converted<float, double>(o.bias),
                               .dy = converted<float, double>(o.dy)});
  return {.y = converted<double, float>(r.y),
          .dx = converted<double, float>(r.dx),
          .dw = converted<double, float>(r.dw)};
}

void expect_equal_bits_for_any_threads(Engine engine) {
  Generator generator(6);
  const std::vector<Conv2dCase> cases = {
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
       .options = {.stride = 2, .padding = 1, .groups = 24}},
      {.batch = 1, .input = 7, .kernel = 3, .channels = 64, .outputs = 256, .options = {.padding = 1}},
      {.batch = 40, .input = 18, .kernel = 3, .channels = 32, .outputs = 40, .options = {.padding = 1}}};
  for (const Conv2dCase& c : cases) {
    const Conv2dOperands o = operands_of(c, generator);
    std::vector<Conv2dResults> results;
    for (const int threads : {1, 2, 3}) {
      const ScopedThreads scope(threads);
      results.push_back(run_f32(engine, c, o));
    }
    for (const size_t i : {1, 2}) {
      EXPECT_EQ(results[0].y.to_vector<double>(), results[i].y.to_vector<double>()) << c.str();
      EXPECT_EQ(results[0].dx.to_vector<double>(), results[i].dx.to_vector<double>()) << c.str();
      EXPECT_EQ(results[0].dw.to_vector<double>(), results[i].dw.to_vector<double>()) << c.str();
    }
  }
}

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

void expect_close(const Conv2dCase& c, const Conv2dResults& found, const Conv2dResults& expected,
                  double tolerance) {
  const int64_t positions = c.kernel.height * c.kernel.width;
  EXPECT_LE(worst_error(found.y, expected.y, positions * c.channels / c.options.groups), tolerance)
      << c.str();
  EXPECT_LE(worst_error(found.dx, expected.dx, positions * c.outputs / c.options.groups), tolerance)
      << c.str();
  EXPECT_LE(worst_error(found.dw, expected.dw, c.y().rows()), tolerance) << c.str();
}

cpu::Conv2dPlan plan_of(const Conv2dCase& c, cpu::Conv2dPass pass, DType dtype) {
  return cpu::plan_conv2d(
      {.pass = pass, .dtype = dtype, .x = c.x(), .w = c.w(), .y = c.y(), .options = c.options});
}

double f32_tolerance(const Conv2dCase& c) {
  for (const auto pass :
       {cpu::Conv2dPass::kForward, cpu::Conv2dPass::kBackwardData, cpu::Conv2dPass::kBackwardWeight}) {
    if (plan_of(c, pass).algorithm == cpu::Conv2dAlgorithm::kWinograd) return kWinogradTolerance;
  }
  return kDirectTolerance;
}

Conv2dCase random_winograd_case(Generator& generator) {
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator.below(static_cast<uint32_t>(high - low + 1)));
  };
  Conv2dCase c;
  do {
    c = {.batch = between(1, 5),
         .input = {between(1, 19), between(1, 19)},
         .kernel = 3,
         .channels = between(32, 75),
         .outputs = between(32, 75),
         .options = {.padding = {between(0, 2), between(0, 2)}},
         .bias = between(0, 1) == 1};
  } while (c.output().height == 0 || c.output().width == 0);
  return c;
}

Conv2dCase random_conv2d_case(Generator& generator) {
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator.below(static_cast<uint32_t>(high - low + 1)));
  };
  Conv2dCase c;
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
      c.options.groups = c.channels = between(1, 40);
      c.outputs = c.channels * between(1, 2);
      break;
    case 1:
      c.options.groups = between(1, 4);
      c.channels = c.options.groups * between(1, 9);
      c.outputs = c.options.groups * between(1, 9);
      break;
    case 2: c.channels = between(1, 35), c.outputs = between(1, 35); break;
    default: c.channels = between(1, 9), c.outputs = between(60, 80); break;  // enough to gather rows for
  }
  c.bias = between(0, 1) == 1;
  return c;
}

}  // namespace ds::test
