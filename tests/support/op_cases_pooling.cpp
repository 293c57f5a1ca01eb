#include <cmath>
#include <limits>
#include <tuple>

#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A pooling of x: for every output element, the input elements under its window.
struct Pooling {
  Shape x;
  Pool2dOptions options;

  Shape y() const { return ops::pool2d_shape(x, options, "test"); }

  /// Calls body(offset in y, row, column) for each tap of each window, outside of the input too.
  template <class Body>
  void for_each_tap(Body&& body) const {
    const Shape out = y();
    for (int64_t i = 0; i < out.numel(); ++i) {
      const int64_t left = i / out[3] % out[2] * options.stride.width - options.padding.width;
      const int64_t top = i / out[3] / out[2] % out[1] * options.stride.height - options.padding.height;
      for (int64_t iy = top; iy < top + options.kernel.height; ++iy) {
        for (int64_t ix = left; ix < left + options.kernel.width; ++ix) {
          body(static_cast<size_t>(i), iy, ix);
        }
      }
    }
  }

  /// Whether a pixel lies in the input with a border.
  bool contains(int64_t row, int64_t column, Size2d border) const {
    return row >= -border.height && row < x[1] + border.height && column >= -border.width &&
           column < x[2] + border.width;
  }

  /// Calls body(offset in y, offset in x, position y * W + x in the plane) for each element of each window.
  template <class Body>
  void for_each_element(Body&& body) const {
    const Shape out = y();
    for_each_tap([&](size_t i, int64_t iy, int64_t ix) {
      if (!contains(iy, ix, 0)) return;
      const auto c = static_cast<int64_t>(i) % out[3];
      const auto n = static_cast<int64_t>(i) / out[3] / out[2] / out[1];
      body(i, static_cast<size_t>(((n * x[1] + iy) * x[2] + ix) * x[3] + c), iy * x[2] + ix);
    });
  }

  /// What each output element divides its sum by.
  Values divisors() const {
    const Size2d border = options.count_include_pad ? options.padding : 0;
    Values result(static_cast<size_t>(y().numel()));
    for_each_tap(
        [&](size_t out, int64_t iy, int64_t ix) { result[out] += contains(iy, ix, border) ? 1 : 0; });
    return result;
  }

  /// Maximum of each window and the positions of the maxima.
  std::vector<Values> maxima(const Values& in) const {
    const auto size = static_cast<size_t>(y().numel());
    Values best(size, -kInfinity);
    Values index(size, -1.0);
    for_each_element([&](size_t out, size_t element, int64_t position) {
      const bool is_first = index[out] < 0.0;
      const bool first_nan = std::isnan(in[element]) && !std::isnan(best[out]);
      if (!is_first && !first_nan && !(in[element] > best[out])) return;
      best[out] = in[element];
      index[out] = static_cast<double>(position);
    });
    return {best, index};
  }
};

OpCase maximum_case(const std::string& variant, const Pooling& pool,
                    const std::function<Values(int64_t, Generator&)>& draw) {
  return {.op = "max_pool2d",
          .variant = variant,
          .inputs = {{pool.x, draw}},
          .run =
              [=](std::vector<Tensor>& in) {
                const ops::MaxPool2dResult result = ops::max_pool2d(in[0], pool.options);
                return std::vector{result.y, result.index};
              },
          .expected = [=](const std::vector<Values>& in) { return pool.maxima(in[0]); },
          .tolerance = 0.0};
}

OpCase maximum_backward_case(const std::string& variant, const Pooling& pool) {
  return {.op = "max_pool2d_backward",
          .variant = variant,
          .inputs = {{pool.x, normal()}, {pool.y(), normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                const Tensor index = ops::max_pool2d(in[0], pool.options).index;
                return std::vector{ops::max_pool2d_backward(in[1], index, pool.x)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                const Values index = pool.maxima(in[0])[1];
                Values dx(in[0].size());
                pool.for_each_element([&](size_t out, size_t element, int64_t position) {
                  if (index[out] == static_cast<double>(position)) dx[element] += in[1][out];
                });
                return std::vector<Values>{dx};
              }};
}

OpCase average_case(const std::string& variant, const Pooling& pool) {
  return {.op = "avg_pool2d",
          .variant = variant,
          .inputs = {{pool.x, normal()}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::avg_pool2d(in[0], pool.options)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                const Values divisors = pool.divisors();
                Values y(divisors.size());
                pool.for_each_element(
                    [&](size_t out, size_t element, int64_t) { y[out] += in[0][element] / divisors[out]; });
                return std::vector<Values>{y};
              }};
}

OpCase average_backward_case(const std::string& variant, const Pooling& pool) {
  return {.op = "avg_pool2d_backward",
          .variant = variant,
          .inputs = {{pool.y(), normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                return std::vector{ops::avg_pool2d_backward(in[0], pool.x, pool.options)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                const Values divisors = pool.divisors();
                Values dx(static_cast<size_t>(pool.x.numel()));
                pool.for_each_element(
                    [&](size_t out, size_t element, int64_t) { dx[element] += in[0][out] / divisors[out]; });
                return std::vector<Values>{dx};
              }};
}

/// Calls body(offset in y, offset in x, 1 / pixels of the window) for each element of each window.
template <class Body>
void for_each_shared(const Shape& x, const Shape& y, Body&& body) {
  const auto begin = [](int64_t i, int64_t outputs, int64_t inputs) {
    return static_cast<int64_t>(std::floor(static_cast<double>(i * inputs) / static_cast<double>(outputs)));
  };
  const auto end = [](int64_t i, int64_t outputs, int64_t inputs) {
    return static_cast<int64_t>(
        std::ceil(static_cast<double>((i + 1) * inputs) / static_cast<double>(outputs)));
  };
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t ox = i / y[3] % y[2];
    const int64_t oy = i / y[3] / y[2] % y[1];
    const int64_t n = i / y[3] / y[2] / y[1];
    const int64_t pixels =
        (end(oy, y[1], x[1]) - begin(oy, y[1], x[1])) * (end(ox, y[2], x[2]) - begin(ox, y[2], x[2]));
    for (int64_t iy = begin(oy, y[1], x[1]); iy < end(oy, y[1], x[1]); ++iy) {
      for (int64_t ix = begin(ox, y[2], x[2]); ix < end(ox, y[2], x[2]); ++ix) {
        body(static_cast<size_t>(i), static_cast<size_t>(((n * x[1] + iy) * x[2] + ix) * x[3] + i % y[3]),
             1.0 / static_cast<double>(pixels));
      }
    }
  }
}

OpCase adaptive_case(const std::string& variant, const Shape& x, Size2d size) {
  const Shape y{x[0], size.height, size.width, x[3]};
  return {.op = "adaptive_avg_pool2d",
          .variant = variant,
          .inputs = {{x, normal()}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::adaptive_avg_pool2d(in[0], size)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values out(static_cast<size_t>(y.numel()));
                for_each_shared(
                    x, y, [&](size_t to, size_t from, double share) { out[to] += in[0][from] * share; });
                return std::vector<Values>{out};
              }};
}

OpCase adaptive_backward_case(const std::string& variant, const Shape& x, Size2d size) {
  const Shape y{x[0], size.height, size.width, x[3]};
  return {
      .op = "adaptive_avg_pool2d_backward",
      .variant = variant,
      .inputs = {{y, normal()}},
      .run =
          [=](std::vector<Tensor>& in) { return std::vector{ops::adaptive_avg_pool2d_backward(in[0], x)}; },
      .expected =
          [=](const std::vector<Values>& in) {
            Values dx(static_cast<size_t>(x.numel()));
            for_each_shared(x, y,
                            [&](size_t to, size_t from, double share) { dx[from] += in[0][to] * share; });
            return std::vector<Values>{dx};
          }};
}

}  // namespace

std::vector<OpCase> pooling_cases() {
  std::vector<OpCase> cases;
  const std::vector<std::pair<std::string, Pooling>> poolings = {
      {"2x2", {{2, 6, 8, 5}, {.kernel = 2, .stride = 2}}},
      {"overlapping, padded", {{2, 7, 9, 16}, {.kernel = 3, .stride = 2, .padding = 1}}},
      {"padding not counted",
       {{1, 7, 6, 3}, {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false}}},
      {"uneven", {{1, 7, 9, 3}, {.kernel = {2, 5}, .stride = {3, 1}, .padding = {1, 2}}}},
      {"ceil mode", {{2, 8, 6, 5}, {.kernel = 3, .stride = 2, .ceil_mode = true}}},
      {"ceil mode, padded", {{1, 8, 7, 3}, {.kernel = 3, .stride = {2, 3}, .padding = 1, .ceil_mode = true}}},
      {"ceil mode, padding not counted",
       {{1, 8, 6, 3},
        {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false, .ceil_mode = true}}},
      {"ceil mode, kernel beyond the input", {{2, 2, 3, 4}, {.kernel = 3, .stride = 2, .ceil_mode = true}}},
      {"ceil mode, no window behind the input",
       {{1, 5, 5, 3}, {.kernel = 2, .stride = 3, .padding = 1, .ceil_mode = true}}},
      {"whole plane", {{3, 8, 8, 20}, {.kernel = 8, .stride = 1}}},
      {"every other pixel", {{2, 5, 6, 4}, {.kernel = 1, .stride = 2}}},
      {"several chunks", {{9, 16, 16, 32}, {.kernel = 2, .stride = 2}}},
      {"no images", {{0, 4, 4, 3}, {.kernel = 2, .stride = 2}}}};
  for (const auto& [variant, pool] : poolings) {
    cases.push_back(maximum_case(variant, pool, normal()));
    cases.push_back(maximum_backward_case(variant, pool));
    cases.push_back(average_case(variant, pool));
    cases.push_back(average_backward_case(variant, pool));
  }
  const std::vector<std::tuple<std::string, Shape, Size2d>> shared = {{"fewer", {2, 7, 9, 5}, {3, 4}},
                                                                      {"more", {2, 3, 2, 16}, {7, 7}},
                                                                      {"equal windows", {1, 8, 6, 3}, {4, 2}},
                                                                      {"several chunks", {5, 14, 14, 64}, 4},
                                                                      {"no images", {0, 4, 4, 3}, 3}};
  for (const auto& [variant, x, size] : shared) {
    cases.push_back(adaptive_case(variant, x, size));
    cases.push_back(adaptive_backward_case(variant, x, size));
  }
  const Pooling padded{{2, 7, 7, 3}, {.kernel = 3, .stride = 2, .padding = 1}};
  cases.push_back(maximum_case("all negative", padded, uniform(-5.0, -1.0)));
  cases.push_back(maximum_case("ties", padded, integers(2)));
  cases.push_back(maximum_case(
      "NaN and infinities", padded,
      listed({1.0, 2.0, -kInfinity, 0.5, std::nan(""), kInfinity, -1.0, -kInfinity, -2.0, 3.0, 4.0})));
  return cases;
}

}  // namespace ds::test
