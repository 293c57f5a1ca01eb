#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/backend.h"
#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// One value an element, from the elements of equal-shaped inputs.
template <class Function>
std::function<std::vector<Values>(const std::vector<Values>&)> each(Function function) {
  return [function](const std::vector<Values>& inputs) {
    Values result;
    for (size_t i = 0; i < inputs[0].size(); ++i) {
      if constexpr (std::is_invocable_v<Function, double, double>) {
        result.push_back(function(inputs[0][i], inputs[1][i]));
      } else {
        result.push_back(function(inputs[0][i]));
      }
    }
    return std::vector<Values>{result};
  };
}

/// Element `index` (row-major in y) of an operand that is broadcast to y.
double broadcast_element(const Values& operand, const Shape& shape, const Shape& y, int64_t index) {
  int64_t offset = 0;
  int64_t stride = 1;
  for (int axis = 1; axis <= y.rank(); ++axis) {
    const int64_t position = index % y[-axis];
    index /= y[-axis];
    if (axis > shape.rank()) continue;
    if (shape[-axis] != 1) offset += position * stride;
    stride *= shape[-axis];
  }
  return operand[static_cast<size_t>(offset)];
}

double apply(Arithmetic kind, double a, double b) {
  switch (kind) {
    case Arithmetic::kAdd: return a + b;
    case Arithmetic::kSubtract: return a - b;
    case Arithmetic::kMultiply: return a * b;
    case Arithmetic::kDivide: return a / b;
  }
  return kNan;
}

OpCase arithmetic_case(Arithmetic kind, const Shape& a, const Shape& b) {
  return {.op = "arithmetic",
          .variant = a.str() + " with " + b.str(),
          .inputs = {{a, normal()}, {b, uniform(0.5, 2.0)}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::arithmetic(kind, in[0], in[1])}; },
          .expected =
              [=](const std::vector<Values>& in) {
                const Shape y = broadcast_shapes(a, b, "test");
                Values result;
                for (int64_t i = 0; i < y.numel(); ++i) {
                  result.push_back(
                      apply(kind, broadcast_element(in[0], a, y, i), broadcast_element(in[1], b, y, i)));
                }
                return std::vector<Values>{result};
              },
          .tolerance = 1e-6};
}

double to_integer(double value, double low, double high) {
  return std::isnan(value) ? 0.0 : std::clamp(std::trunc(value), low, high);
}

double to_bf16(double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // 8 significant bits, half to even
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

OpCase cast_case() {
  return {
      .op = "cast",
      .variant = "to every type, saturating",
      .inputs = {{{48}, listed({0.0,    -0.5,  0.99,      1.5,        -1.5,     127.4,      128.0,
                                -129.0, 255.9, 256.0,     40000.0,    -40000.0, 3e9,        -3e9,
                                1e19,   -1e19, kInfinity, -kInfinity, kNan,     1.00390625, 1.01171875})}},
      .run =
          [](std::vector<Tensor>& in) {
            std::vector<Tensor> results;
            for (const DType type : {DType::kU8, DType::kI8, DType::kI16, DType::kI32, DType::kBf16}) {
              results.push_back(in[0].to(type));
            }
            results.push_back(in[0].to(DType::kI64).to(DType::kI16));
            results.push_back(in[0].to(DType::kI16).to(DType::kU8).to(in[0].dtype()));
            results.push_back(in[0].to(DType::kBf16).to(DType::kF64));
            return results;
          },
      .expected =
          [](const std::vector<Values>& in) {
            std::vector<Values> results(8);
            for (const double x : in[0]) {
              const Values row = {to_integer(x, 0, 255),
                                  to_integer(x, -128, 127),
                                  to_integer(x, -32768, 32767),
                                  to_integer(x, -0x1p31, 0x1p31 - 1),
                                  to_bf16(x),
                                  to_integer(x, -32768, 32767),
                                  to_integer(x, 0, 255),
                                  to_bf16(x)};
              for (size_t i = 0; i < row.size(); ++i) results[i].push_back(row[i]);
            }
            return results;
          },
      .tolerance = 0.0};
}

OpCase clamp_case(const std::string& variant, double low, double high) {
  return {.op = "clamp",
          .variant = variant,
          .inputs = {{{3, 17}, listed({-7.0, -0.25, 0.0, 0.5, 5.75, 6.0, 6.5, kInfinity, -kInfinity, kNan})}},
          .run =
              [=](std::vector<Tensor>& in) {
                const Tensor y = ops::clamp(in[0], low, high);
                ops::clamp_in_place(in[0], low, high);
                return std::vector{y, in[0]};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                const Values y = each(
                    [=](double x) { return std::isnan(x) ? x : std::min(std::max(x, low), high); })(in)[0];
                return std::vector{y, y};
              },
          .tolerance = 0.0};
}

OpCase dropout_case(double p) {
  const uint64_t first = 5;  // not at the start of a block of four words
  return {.op = "dropout_mask",
          .variant = "p " + std::to_string(p),
          .inputs = {{{40001}, normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                Generator generator(3, 9);
                generator.set_position(first);
                return std::vector{ops::dropout_mask(in[0], p, generator)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values mask;
                for (size_t i = 0; i < in[0].size(); ++i) {
                  const double drawn = uniform_from_word(random_word(3, 9, first + i));
                  mask.push_back(drawn < p ? 0.0 : 1.0 / (1.0 - p));
                }
                return std::vector<Values>{mask};
              }};
}

OpCase copy_channels_case() {
  return {.op = "copy_channels",
          .variant = "channels 2 and 3 of 5 to 1 and 2 of 4",
          .inputs = {{{2, 3, 3, 5}, normal()}, {{2, 3, 3, 4}, normal()}},
          .run =
              [](std::vector<Tensor>& in) {
                ops::copy_channels(in[0], 2, 2, in[1], 1);
                return std::vector{in[1]};
              },
          .expected =
              [](const std::vector<Values>& in) {
                Values y = in[1];
                for (size_t row = 0; row < 18; ++row) {
                  y[row * 4 + 1] = in[0][row * 5 + 2];
                  y[row * 4 + 2] = in[0][row * 5 + 3];
                }
                return std::vector<Values>{y};
              },
          .tolerance = 0.0};
}

std::vector<OpCase> linear_cases() {
  return {
      {.op = "fill",
       .variant = "a fraction",
       .inputs = {{{3, 7}, normal()}},
       .run =
           [](std::vector<Tensor>& in) {
             in[0].fill(-0.75);
             return std::vector{in[0]};
           },
       .expected = each([](double) { return -0.75; }),
       .tolerance = 0.0},
      {.op = "affine",
       .variant = "scale and shift",
       .inputs = {{{20001}, normal()}},
       .run = [](std::vector<Tensor>& in) { return std::vector{ops::affine(in[0], -1.5, 0.25)}; },
       .expected = each([](double x) { return -1.5 * x + 0.25; })},
      {.op = "accumulate",
       .variant = "scaled",
       .inputs = {{{20001}, normal()}, {{20001}, normal()}},
       .run =
           [](std::vector<Tensor>& in) {
             ops::accumulate(in[0], 0.5, in[1]);
             return std::vector{in[1]};
           },
       .expected = each([](double x, double y) { return y + 0.5 * x; })},
      {.op = "clamp_backward",
       .variant = "zero at and outside of both bounds",
       .inputs = {{{60}, normal()}, {{60}, listed({0.0, 6.0, 3.0, 0.001, 5.999, kNan})}},
       .run =
           [](std::vector<Tensor>& in) { return std::vector{ops::clamp_backward(in[0], in[1], 0.0, 6.0)}; },
       .expected = each([](double dy, double y) { return y > 0.0 && y < 6.0 ? dy : 0.0; }),
       .tolerance = 0.0}};
}

/// dx = dy times the derivative of 4^x.
OpCase pow4_backward(std::string variant, std::vector<double> x, double tolerance) {
  const auto count = static_cast<int64_t>(x.size());
  return {.op = "sum_pow4_backward",
          .variant = std::move(variant),
          .inputs = {{{1}, normal()}, {{count}, listed(std::move(x))}},
          .run = [](std::vector<Tensor>& in) { return std::vector{ops::sum_pow4_backward(in[0], in[1])}; },
          .expected =
              [](const std::vector<Values>& in) {
                Values dx;
                for (const double x : in[1])
                  dx.push_back(2.0 * std::numbers::ln2 * std::pow(4.0, x) * in[0][0]);
                return std::vector<Values>{dx};
              },
          .tolerance = tolerance};
}

std::vector<OpCase> power_cases() {
  return {{.op = "sum_pow4",
           .variant = "several chunks",
           .inputs = {{{40001}, uniform(-8.0, 0.0)}},
           .run = [](std::vector<Tensor>& in) { return std::vector{ops::sum_pow4(in[0])}; },
           .expected =
               [](const std::vector<Values>& in) {
                 double sum = 0.0;
                 for (const double x : in[0]) sum += std::pow(4.0, x);
                 return std::vector<Values>{{sum}};
               }},
          pow4_backward("of exponents", {0.0, 0.25, -0.25, -0.75, -1.37, -2.0, -3.21, -7.9, -14.0}, 4e-7),
          pow4_backward("of what vanishes in f32, and NaN", {-62.9, -63.1, -80.0, -kInfinity, kNan}, 4e-7),
          pow4_backward("of the largest in f32", {62.0, 62.99, 63.01, 63.7, kInfinity}, 2e-6)};
}

}  // namespace

std::vector<OpCase> elementwise_cases() {
  std::vector<OpCase> cases = linear_cases();
  for (OpCase& row : power_cases()) cases.push_back(std::move(row));
  cases.push_back(cast_case());
  cases.push_back(clamp_case("relu", 0.0, kInfinity));
  cases.push_back(clamp_case("relu6", 0.0, 6.0));
  for (const double p : {0.0, 0.3, 0.9}) cases.push_back(dropout_case(p));
  cases.push_back(copy_channels_case());
  for (const Arithmetic kind :
       {Arithmetic::kAdd, Arithmetic::kSubtract, Arithmetic::kMultiply, Arithmetic::kDivide}) {
    cases.push_back(arithmetic_case(kind, {3, 5, 7}, {3, 5, 7}));
  }
  const std::vector<std::pair<Shape, Shape>> broadcasts = {{{20001}, {20001}},
                                                           {{2, 20001}, {20001}},
                                                           {{2, 3, 4, 5}, {5}},
                                                           {{5}, {2, 3, 4, 5}},
                                                           {{2, 3, 4}, {}},
                                                           {{}, {2, 3, 4}},
                                                           {{2, 3, 4, 5}, {2, 1, 1, 5}},
                                                           {{2, 3, 4, 5}, {2, 3, 4, 1}},
                                                           {{2, 1, 4}, {3, 1}},
                                                           {{3, 1, 5}, {1, 4, 1}},
                                                           {{1, 1}, {1}},
                                                           {{0, 3}, {3}},
                                                           {{4000, 9}, {9}},
                                                           {{2, 20001}, {2, 1}}};
  for (const auto& [a, b] : broadcasts) cases.push_back(arithmetic_case(Arithmetic::kSubtract, a, b));
  return cases;
}

}  // namespace ds::test
