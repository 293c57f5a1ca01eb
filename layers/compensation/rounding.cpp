#include "layers/compensation/rounding.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/cpu/blas.h"
#include "core/error.h"
#include "core/linear_algebra.h"
#include "core/parallel.h"

namespace ds {
namespace {

constexpr int64_t kRows = 8;  // filters that share what is read of the moments

size_t at(int64_t index) { return static_cast<size_t>(index); }

/// Positions by their moments, the largest first.
std::vector<int64_t> order_of(const std::vector<double>& moments, int64_t depth) {
  std::vector<int64_t> order(at(depth));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](int64_t i) { return moments[at(i * depth + i)]; });
  return order;
}

/// Rows and columns in another order.
std::vector<double> permuted(const std::vector<double>& matrix, const std::vector<int64_t>& order) {
  const auto n = static_cast<int64_t>(order.size());
  std::vector<double> result(matrix.size());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) result[at(i * n + j)] = matrix[at(order[at(i)] * n + order[at(j)])];
  }
  return result;
}

Cholesky factor(std::vector<double> matrix, int64_t depth) {
  std::optional<Cholesky> result = Cholesky::factor(std::move(matrix), depth);
  DS_CHECK(result.has_value(), "[compensate] the moments of {} values are singular, expected damped ones",
           depth);
  return *std::move(result);
}

/// Rounds `count` filters in place, handing errors on. `upper` is U, H^-1 = U^T U.
void hand_errors_on(double* filters, int64_t count, const std::vector<double>& upper, int64_t depth,
                    ShiftFormat format) {
  for (int64_t j = 0; j < depth; ++j) {
    const double* row = upper.data() + j * depth;
    for (int64_t r = 0; r < count; ++r) {
      double* w = filters + r * depth;
      const double level = nearest_level(w[j], format);
      const double error = (w[j] - level) / row[j];
      w[j] = level;
      for (int64_t k = j + 1; k < depth; ++k) w[k] -= error * row[k];
    }
  }
}

/// Moves the levels of one filter while that lowers the cost; `gradient` is H (q - w*).
void descend(double* levels, double* gradient, const std::vector<double>& moments, int64_t depth,
             const CompensatedRounding& options) {
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    bool moved = false;
    for (int64_t j = 0; j < depth; ++j) {
      const double* row = moments.data() + j * depth;
      const double level = nearest_level(levels[j] - gradient[j] / row[j], options.format);
      const double step = level - levels[j];
      // Of two levels as good as each other the old one stays: a step has to lower the cost.
      if (step == 0.0 || !(step * (2.0 * gradient[j] + step * row[j]) < 0.0)) continue;
      levels[j] = level;
      for (int64_t k = 0; k < depth; ++k) gradient[k] += step * row[k];
      moved = true;
    }
    if (!moved) return;
  }
}

/// Filters on their way from a start, and what they cost in the end.
struct Descent {
  std::vector<double> levels;
  std::vector<double> costs;
};

Descent descend_from(std::vector<double> levels, const double* targets, const std::vector<double>& moments,
                     int64_t depth, const CompensatedRounding& options) {
  const auto count = static_cast<int64_t>(levels.size()) / depth;
  std::vector<double> difference(levels.size());
  for (size_t i = 0; i < levels.size(); ++i) difference[i] = levels[i] - targets[i];
  std::vector<double> gradient(levels.size());
  cpu::blas_gemm(cpu::MatrixProduct<double>{.rows = count,
                                            .columns = depth,
                                            .depth = depth,
                                            .a = {.data = difference.data(), .pitch = depth},
                                            .b = {.data = moments.data(), .pitch = depth},
                                            .y = gradient.data(),
                                            .y_pitch = depth});
  Descent result{.levels = std::move(levels), .costs = {}};
  for (int64_t r = 0; r < count; ++r) {
    double* row = result.levels.data() + r * depth;
    double* of_row = gradient.data() + r * depth;
    descend(row, of_row, moments, depth, options);
    double cost = 0.0;
    for (int64_t j = 0; j < depth; ++j) cost += (row[j] - targets[r * depth + j]) * of_row[j];
    result.costs.push_back(cost);
  }
  return result;
}

/// Rounds filters [begin, end), whose positions are in the order of rounding: from where errors were handed
/// on, and from the nearest levels, of which the better end counts.
void round_rows(std::vector<double>& filters, int64_t begin, int64_t end, const std::vector<double>& upper,
                const std::vector<double>& moments, int64_t depth, const CompensatedRounding& options) {
  double* targets = filters.data() + begin * depth;
  std::vector<double> nearest(targets, targets + (end - begin) * depth);
  std::vector<double> handed_on = nearest;
  for (double& value : nearest) value = nearest_level(value, options.format);
  hand_errors_on(handed_on.data(), end - begin, upper, depth, options.format);
  const Descent one = descend_from(std::move(handed_on), targets, moments, depth, options);
  const Descent two = descend_from(std::move(nearest), targets, moments, depth, options);
  for (int64_t r = 0; r < end - begin; ++r) {
    const Descent& better = two.costs[at(r)] < one.costs[at(r)] ? two : one;
    std::copy_n(better.levels.begin() + r * depth, depth, targets + r * depth);
  }
}

}  // namespace

double nearest_level(double value, ShiftFormat format) {
  const auto [p_min, p_max] = format.range();
  int exponent = 0;
  const double fraction =
      std::frexp(std::abs(value), &exponent);  // |value| = fraction 2^exponent, in [1/2, 1)
  const bool zero = format.method == ShiftMethod::kPs && std::abs(value) <= std::ldexp(0.5, p_min);
  if (zero) return 0.0;
  const int p = value == 0.0 ? p_min : exponent - 1 + (fraction > 0.75 ? 1 : 0);
  return std::copysign(std::ldexp(1.0, std::clamp(p, p_min, p_max)), value);
}

std::vector<double> round_compensated(const std::vector<double>& filters, const std::vector<double>& moments,
                                      int64_t depth, const CompensatedRounding& options) {
  const auto rows = static_cast<int64_t>(filters.size()) / depth;
  const std::vector<int64_t> order = order_of(moments, depth);
  const std::vector<double> ordered = permuted(moments, order);
  const std::vector<double> upper = factor(factor(ordered, depth).inverse(), depth).upper();
  std::vector<double> rounded(filters.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < depth; ++j) rounded[at(r * depth + j)] = filters[at(r * depth + order[at(j)])];
  }
  parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
    round_rows(rounded, begin, end, upper, ordered, depth, options);
  });
  std::vector<double> result(filters.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < depth; ++j) result[at(r * depth + order[at(j)])] = rounded[at(r * depth + j)];
  }
  return result;
}

}  // namespace ds
