#include "layers/compensation/rounding.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/cpu/blas.h"
#include "core/error.h"
#include "core/linear_algebra.h"
#include "core/parallel.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

constexpr int64_t kRows = 8;  // filters that share what is read of the moments

std::vector<int64_t> order_of(const std::vector<double>& moments, int64_t depth) {
  std::vector<int64_t> order(at(depth));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](int64_t i) { return moments[at(i * depth + i)]; });
  return order;
}

/// Rows and columns in another order. Takes the matrix, which does not outlive this.
std::vector<double> permuted(std::vector<double> matrix, const std::vector<int64_t>& order) {
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

}  // namespace

/// Filters at the end of their way from a start, and what they cost.
struct CompensatedRounding::Descent {
  std::vector<double> levels = {};
  std::vector<double> costs = {};
};

CompensatedRounding::CompensatedRounding(std::vector<double> moments, int64_t depth)
    : depth_(depth),
      order_(order_of(moments, depth)),
      moments_(permuted(std::move(moments), order_)),
      upper_(factor(factor(moments_, depth).inverse(), depth).upper()) {}

std::vector<double> CompensatedRounding::round(const std::vector<double>& filters, const Levels& grid,
                                               int sweeps) const {
  const auto rows = static_cast<int64_t>(filters.size()) / depth_;
  std::vector<double> rounded(filters.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < depth_; ++j)
      rounded[at(r * depth_ + j)] = filters[at(r * depth_ + order_[at(j)])];
  }
  parallel_for(rows, kRows, [&](int64_t begin, int64_t end) {
    round_rows(rounded.data() + begin * depth_, end - begin, grid, sweeps);
  });
  std::vector<double> result(filters.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < depth_; ++j) result[at(r * depth_ + order_[at(j)])] = rounded[at(r * depth_ + j)];
  }
  return result;
}

/// From where errors were handed on, and from the nearest levels, of which the better end counts.
void CompensatedRounding::round_rows(double* targets, int64_t count, const Levels& grid, int sweeps) const {
  std::vector<double> nearest(targets, targets + count * depth_);
  std::vector<double> handed_on = nearest;
  for (double& value : nearest) value = grid.nearest(value);
  hand_errors_on(handed_on.data(), count, grid);
  const Descent one = descend_from(std::move(handed_on), targets, grid, sweeps);
  const Descent two = descend_from(std::move(nearest), targets, grid, sweeps);
  for (int64_t r = 0; r < count; ++r) {
    const Descent& better = two.costs[at(r)] < one.costs[at(r)] ? two : one;
    std::copy_n(better.levels.begin() + r * depth_, depth_, targets + r * depth_);
  }
}

/// Rounds filters in place.
void CompensatedRounding::hand_errors_on(double* filters, int64_t count, const Levels& grid) const {
  for (int64_t j = 0; j < depth_; ++j) {
    const double* row = upper_.data() + j * depth_;
    for (int64_t r = 0; r < count; ++r) {
      double* w = filters + r * depth_;
      const double level = grid.nearest(w[j]);
      const double error = (w[j] - level) / row[j];
      w[j] = level;
      for (int64_t k = j + 1; k < depth_; ++k) w[k] -= error * row[k];
    }
  }
}

/// Moves the levels of one filter while that lowers the cost; `gradient` is H (q - w*).
void CompensatedRounding::descend(double* levels, double* gradient, const Levels& grid, int sweeps) const {
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    bool moved = false;
    for (int64_t j = 0; j < depth_; ++j) {
      const double* row = moments_.data() + j * depth_;
      const double level = grid.nearest(levels[j] - gradient[j] / row[j]);
      const double step = level - levels[j];
      // Of two levels as good as each other the old one stays: a step has to lower the cost.
      if (step == 0.0 || !(step * (2.0 * gradient[j] + step * row[j]) < 0.0)) continue;
      levels[j] = level;
      for (int64_t k = 0; k < depth_; ++k) gradient[k] += step * row[k];
      moved = true;
    }
    if (!moved) return;
  }
}

CompensatedRounding::Descent CompensatedRounding::descend_from(std::vector<double> levels,
                                                               const double* targets, const Levels& grid,
                                                               int sweeps) const {
  const auto count = static_cast<int64_t>(levels.size()) / depth_;
  std::vector<double> difference(levels.size());
  for (size_t i = 0; i < levels.size(); ++i) difference[i] = levels[i] - targets[i];
  std::vector<double> gradient(levels.size());
  cpu::blas_gemm(cpu::MatrixProduct<double>{.rows = count,
                                            .columns = depth_,
                                            .depth = depth_,
                                            .a = {.data = difference.data(), .pitch = depth_},
                                            .b = {.data = moments_.data(), .pitch = depth_},
                                            .y = gradient.data(),
                                            .y_pitch = depth_});
  Descent result{.levels = std::move(levels)};
  for (int64_t r = 0; r < count; ++r) {
    double* row = result.levels.data() + r * depth_;
    double* of_row = gradient.data() + r * depth_;
    descend(row, of_row, grid, sweeps);
    double cost = 0.0;
    for (int64_t j = 0; j < depth_; ++j) cost += (row[j] - targets[r * depth_ + j]) * of_row[j];
    result.costs.push_back(cost);
  }
  return result;
}

}  // namespace ds
