#include <algorithm>
#include <cmath>
#include <limits>

#include "core/backend.h"
#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

OpCase sum_to_case(const Shape& x, const Shape& y) {
  return {.op = "sum_to",
          .variant = x.str() + " to " + y.str(),
          .inputs = {{x, normal(0.5, 1.0)}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::sum_to(in[0], y)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values sums(static_cast<size_t>(y.numel()));
                for (int64_t i = 0; i < x.numel(); ++i) {
                  int64_t rest = i;
                  int64_t offset = 0;
                  int64_t stride = 1;
                  for (int axis = 1; axis <= y.rank(); ++axis) {
                    if (y[-axis] != 1) offset += rest % x[-axis] * stride;
                    stride *= y[-axis];
                    rest /= x[-axis];
                  }
                  sums[static_cast<size_t>(offset)] += in[0][static_cast<size_t>(i)];
                }
                return std::vector<Values>{sums};
              },
          .tolerance = 1e-6};
}

OpCase sum_squares_case(const std::string& variant, const OpInput& input) {
  return {.op = "sum_squares",
          .variant = variant,
          .inputs = {input},
          .run =
              [](std::vector<Tensor>& in) {
                return std::vector{Tensor::full({}, ops::sum_squares(in[0]), DType::kF64)};
              },
          .expected =
              [](const std::vector<Values>& in) {
                double sum = 0.0;
                for (const double x : in[0]) sum += x * x;
                return std::vector<Values>{{sum}};
              },
          .tolerance = 1e-7};
}

/// A NaN is beyond the infinity of its sign.
bool less(double a, double b) {
  if (!std::isnan(a) && !std::isnan(b)) return a < b;
  if (std::isnan(a) && std::isnan(b)) return std::signbit(a) && !std::signbit(b);
  return std::isnan(a) ? std::signbit(a) : !std::signbit(b);
}

OpCase extremes_case(const std::string& variant, const OpInput& input) {
  return {.op = "extremes",
          .variant = variant,
          .inputs = {input},
          .run =
              [](std::vector<Tensor>& in) {
                const ops::Extremes found = ops::extremes(in[0]);
                return std::vector{Tensor::from(std::vector<double>{found.minimum, found.maximum}, {2})};
              },
          .expected =
              [](const std::vector<Values>& in) {
                const auto [least, greatest] = std::minmax_element(in[0].begin(), in[0].end(), less);
                return std::vector<Values>{{*least, *greatest}};
              },
          .tolerance = 0.0};
}

OpCase argmax_case(const std::string& variant, const OpInput& input) {
  return {.op = "argmax",
          .variant = variant,
          .inputs = {input},
          .run = [](std::vector<Tensor>& in) { return std::vector{ops::argmax(in[0])}; },
          .expected =
              [columns = input.shape[-1]](const std::vector<Values>& in) {
                Values result;
                for (auto row = in[0].begin(); row != in[0].end(); row += columns) {
                  const auto nan = std::find_if(row, row + columns, [](double x) { return std::isnan(x); });
                  const auto best = nan == row + columns ? std::max_element(row, row + columns) : nan;
                  result.push_back(static_cast<double>(best - row));
                }
                return std::vector<Values>{result};
              },
          .tolerance = 0.0};
}

}  // namespace

std::vector<OpCase> reduction_cases() {
  std::vector<OpCase> cases;
  const std::vector<std::pair<Shape, Shape>> sums = {{{2, 3, 4, 5}, {5}},
                                                     {{2, 3, 4, 5}, {}},
                                                     {{2, 3, 4, 5}, {2, 3, 4, 5}},
                                                     {{2, 3, 4, 5}, {2, 1, 1, 5}},
                                                     {{2, 3, 4, 5}, {1, 3, 1, 1}},
                                                     {{2, 3, 4, 5}, {3, 1, 5}},
                                                     {{2, 3, 4, 5}, {2, 1, 4, 1}},
                                                     {{1, 3, 1, 5}, {5}},
                                                     {{3000, 16}, {16}},
                                                     {{40001}, {}},
                                                     {{3, 2000, 10}, {3, 1, 10}},
                                                     {{3, 20001}, {3, 1}},
                                                     {{9, 200, 30, 3}, {200, 1, 3}},
                                                     {{1, 1}, {}},
                                                     {{0, 3}, {3}},
                                                     {{4, 1}, {4, 1}}};
  for (const auto& [x, y] : sums) cases.push_back(sum_to_case(x, y));

  cases.push_back(sum_squares_case("several chunks", {{40001}, normal()}));
  cases.push_back(sum_squares_case("beyond f32", {{3}, listed({3e38})}));
  cases.push_back(sum_squares_case("infinity", {{3}, listed({1, kInfinity})}));
  cases.push_back(sum_squares_case("NaN", {{20001}, listed({1, kNan})}));
  cases.push_back(sum_squares_case("nothing", {{0}, normal()}));

  cases.push_back(extremes_case("several chunks", {{40001}, normal()}));
  cases.push_back(extremes_case("positive only", {{40001}, uniform(1.0, 2.0)}));
  cases.push_back(extremes_case("one element", {{1}, normal()}));
  cases.push_back(extremes_case("infinities", {{9}, listed({1, -kInfinity, 2, kInfinity})}));
  cases.push_back(extremes_case("NaN", {{20}, listed({1, kNan, kInfinity, -kInfinity})}));
  cases.push_back(extremes_case("negative NaN", {{20}, listed({1, -kNan, kInfinity, -kInfinity})}));

  cases.push_back(argmax_case("rows", {{3000, 10}, normal()}));
  cases.push_back(argmax_case("ties", {{50, 7}, integers(3)}));
  cases.push_back(
      argmax_case("NaN and infinities", {{4, 5}, listed({1, kNan, 5, kNan, -kInfinity, 2, kInfinity})}));
  cases.push_back(argmax_case("one axis", {{9}, normal()}));
  return cases;
}

}  // namespace ds::test
