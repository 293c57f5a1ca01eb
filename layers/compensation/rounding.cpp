#include "layers/compensation/rounding.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "core/cpu/blas.h"
#include "core/linear_algebra.h"
#include "core/parallel.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

constexpr int64_t kRows = 8;  // filters that share what is read of the moments

/// Of equal moments the first is the last: it is rounded first.
std::vector<int64_t> order_of(const std::vector<double>& moments, int64_t depth) {
  std::vector<int64_t> order(at(depth));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](int64_t i) { return moments[at(i * depth + i)]; });
  std::ranges::reverse(order);
  return order;
}

/// Each row's elements in another order.
std::vector<double> reordered(std::vector<double> rows, const std::vector<int64_t>& order) {
  std::vector<double> row(order.size());
  for (auto first = rows.begin(); first != rows.end(); first += static_cast<int64_t>(order.size())) {
    for (size_t j = 0; j < order.size(); ++j) row[j] = first[order[j]];
    std::ranges::copy(row, first);
  }
  return rows;
}

}  // namespace

/// Filters at the end of their way from a start, and what they cost.
struct CompensatedRounding::Descent {
  std::vector<double> levels = {};
  std::vector<double> costs = {};
};

std::optional<CompensatedRounding> CompensatedRounding::make(const std::vector<double>& moments, double r,
                                                             int64_t depth) {
  CompensatedRounding result(depth);
  result.order_ = order_of(moments, depth);
  result.places_.resize(at(depth));
  for (int64_t j = 0; j < depth; ++j) result.places_[at(result.order_[at(j)])] = j;
  result.moments_.resize(moments.size());
  for (int64_t i = 0; i < depth; ++i) {
    const double* row = moments.data() + result.order_[at(i)] * depth;
    double* target = result.moments_.data() + i * depth;
    for (int64_t j = 0; j < depth; ++j) target[j] = row[result.order_[at(j)]];
    target[i] += r;
  }
  std::optional<std::vector<double>> inverse = inverse_cholesky(result.moments_, depth);
  if (!inverse) return std::nullopt;
  result.inverse_ = *std::move(inverse);
  return result;
}

void CompensatedRounding::solve(std::vector<double>& rows) const {
  rows = reordered(std::move(rows), order_);
  solve_rows(inverse_, rows.data(), static_cast<int64_t>(rows.size()) / depth_);
  rows = reordered(std::move(rows), places_);
}

std::vector<double> CompensatedRounding::round(const std::vector<double>& filters, const Levels& grid,
                                               int sweeps) const {
  std::vector<double> rounded = reordered(filters, order_);
  parallel_for(static_cast<int64_t>(filters.size()) / depth_, kRows, [&](int64_t begin, int64_t end) {
    round_rows(rounded.data() + begin * depth_, end - begin, grid, sweeps);
  });
  return reordered(std::move(rounded), places_);
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
  for (int64_t j = depth_ - 1; j >= 0; --j) {
    const double* row = inverse_.data() + j * depth_;
    for (int64_t r = 0; r < count; ++r) {
      double* w = filters + r * depth_;
      const double level = grid.nearest(w[j]);
      const double error = (w[j] - level) / row[j];
      w[j] = level;
      for (int64_t k = 0; k < j; ++k) w[k] -= error * row[k];
    }
  }
}

/// Moves weight j of a filter to the level that is best, if that lowers the cost; `gradient` is H (q - w*).
bool CompensatedRounding::move(int64_t j, double* levels, double* gradient, const Levels& grid) const {
  const double* row = moments_.data() + j * depth_;
  const double level = grid.nearest(levels[j] - gradient[j] / row[j]);
  const double step = level - levels[j];
  // Of two levels as good as each other the old one stays: a step has to lower the cost.
  if (step == 0.0 || !(step * (2.0 * gradient[j] + step * row[j]) < 0.0)) return false;
  levels[j] = level;
  for (int64_t k = 0; k < depth_; ++k) gradient[k] += step * row[k];
  return true;
}

/// Each filter until none of its weights moves. They go through the moments together, which do not fit into a
/// cache.
void CompensatedRounding::descend(double* levels, double* gradients, int64_t count, const Levels& grid,
                                  int sweeps) const {
  std::vector<int64_t> moving(at(count));
  std::iota(moving.begin(), moving.end(), 0);
  for (int sweep = 0; sweep < sweeps && !moving.empty(); ++sweep) {
    std::vector<bool> moved(at(count));
    for (int64_t j = depth_ - 1; j >= 0; --j) {
      for (const int64_t r : moving) {
        if (move(j, levels + r * depth_, gradients + r * depth_, grid)) moved[at(r)] = true;
      }
    }
    std::erase_if(moving, [&](int64_t r) { return !moved[at(r)]; });
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
  descend(levels.data(), gradient.data(), count, grid, sweeps);
  Descent result{.levels = std::move(levels)};
  for (int64_t r = 0; r < count; ++r) {
    const double* row = result.levels.data() + r * depth_;
    const double* of_row = gradient.data() + r * depth_;
    double cost = 0.0;
    for (int64_t j = 0; j < depth_; ++j) cost += (row[j] - targets[r * depth_ + j]) * of_row[j];
    result.costs.push_back(cost);
  }
  return result;
}

}  // namespace ds
