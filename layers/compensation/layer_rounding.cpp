#include "layers/compensation/layer_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/linear_algebra.h"
#include "core/shift/pow2.h"

namespace ds {
namespace {

size_t at(int64_t index) { return static_cast<size_t>(index); }

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double mean_diagonal(const GroupMoments& moments) {
  double trace = 0.0;
  for (int64_t i = 0; i < moments.depth; ++i) trace += moments.xx[at(i * moments.depth + i)];
  return trace / static_cast<double>(moments.depth);
}

/// What is added to the diagonal: r. About the means, what remains of values that do not vary is the rounding
/// of f32 sums, above which r has to be. A layer that sees nothing but zeros keeps its weights.
double damping_of(const GroupMoments& moments, const GroupMoments& used, double damping) {
  constexpr double kSumRounding = 1e-5;
  const double r = std::max(damping * mean_diagonal(used), kSumRounding * mean_diagonal(moments));
  return r > 0.0 ? r : 1.0;
}

/// w*: the filters that give y from x best, not far from the float ones.
std::vector<double> fitted(const GroupMoments& used, const std::vector<double>& matrix, double r,
                           const std::vector<double>& filters, const std::string& path) {
  std::vector<double> target = used.yx;
  for (size_t i = 0; i < target.size(); ++i) target[i] += r * filters[i];
  const std::optional<Cholesky> factor = Cholesky::factor(matrix, used.depth);
  DS_CHECK(factor.has_value(),
           "[compensate] the system of layer {} is singular: more damping or images are needed", path);
  factor->solve(target.data(), used.outputs);
  return target;
}

/// Filters, one after the other, each times its scale.
std::vector<double> scaled(std::vector<double> filters, const double* scales, int64_t outputs) {
  const size_t depth = filters.size() / at(outputs);
  for (size_t i = 0; i < filters.size(); ++i) filters[i] *= scales[i / depth];
  return filters;
}

std::vector<double> rounded_one_by_one(std::vector<double> filters, ShiftFormat format) {
  const ShiftRange range = format.range();
  for (double& w : filters) {
    const double s = w > 0.0 ? 1.0 : (w < 0.0 ? -1.0 : 0.0);
    w = format.method == ShiftMethod::kQ
            ? pow2::round_q(w, range)
            : pow2::round_ps(static_cast<double>(pow2::nearest_log2(w)), s, range);
  }
  return filters;
}

void add_statistics(const GroupMoments& moments, const GroupMoments& used, const std::vector<double>& filters,
                    const std::vector<double>& unscaled, const std::vector<double>& plain,
                    OutputStatistics& statistics) {
  const GroupMoments centred = moments.centred();
  const std::vector<double> variance = centred.squares(filters);
  const std::vector<double> errors = used.errors(unscaled);
  const std::vector<double> plain_errors = used.errors(plain);
  for (int64_t o = 0; o < moments.outputs; ++o) {
    double mean = 0.0;
    for (int64_t i = 0; i < moments.depth; ++i) {
      mean += filters[at(o * moments.depth + i)] * moments.x[at(i)];
    }
    statistics.mean.push_back(mean);
    statistics.variance.push_back(std::max(variance[at(o)], 0.0));
    statistics.float_mean.push_back(moments.y[at(o)]);
    statistics.float_variance.push_back(std::max(centred.yy[at(o)], 0.0));
    statistics.error.push_back(errors[at(o)]);
    statistics.plain_error.push_back(plain_errors[at(o)]);
  }
}

/// Adds a group's filters to the result, in its format and scales.
void round_group(const GroupMoments& moments, const std::vector<double>& filters,
                 const LayerRounding& options, RoundedFilters& result) {
  const double* scales = result.scales.data() + result.statistics.mean.size();
  std::vector<double> inverse(scales, scales + moments.outputs);
  for (double& scale : inverse) scale = 1.0 / scale;
  const GroupMoments used = options.mean_is_free ? moments.centred() : moments;
  const double r = damping_of(moments, used, options.damping);
  std::vector<double> matrix = used.xx;
  for (int64_t i = 0; i < used.depth; ++i) matrix[at(i * used.depth + i)] += r;
  const std::vector<double> plain = rounded_one_by_one(filters, options.format);
  std::vector<double> q = plain;
  if (options.compensation != Compensation::kStatistics) {
    const std::vector<double> target = options.compensation == Compensation::kFull
                                           ? fitted(used, matrix, r, filters, options.path)
                                           : filters;
    q = round_compensated(scaled(target, scales, moments.outputs), matrix, used.depth,
                          {.format = result.format, .sweeps = options.sweeps});
  }
  add_statistics(moments, used, q, scaled(q, inverse.data(), moments.outputs), plain, result.statistics);
  result.filters.insert(result.filters.end(), q.begin(), q.end());
}

void round_filters(const std::vector<GroupMoments>& groups, const std::vector<double>& filters,
                   const LayerRounding& options, RoundedFilters& result) {
  int64_t first = 0;
  for (const GroupMoments& moments : groups) {
    const int64_t end = first + moments.outputs * moments.depth;
    round_group(moments, {filters.begin() + first, filters.begin() + end}, options, result);
    first = end;
  }
}

/// By filter.
std::vector<double> largest_of(const std::vector<double>& filters, size_t outputs) {
  std::vector<double> largest;
  const auto depth = static_cast<int64_t>(filters.size() / outputs);
  for (auto filter = filters.begin(); filter != filters.end(); filter += depth) {
    double of_filter = 0.0;
    for (int64_t i = 0; i < depth; ++i) of_filter = std::max(of_filter, std::abs(filter[i]));
    largest.push_back(of_filter);
  }
  return largest;
}

/// The largest level 2^-step of the largest weight's power of two: of each filter, or by an offset of the
/// layer.
RoundedFilters moved(const RoundedFilters& start, const std::vector<double>& largest, int step,
                     bool by_filter) {
  RoundedFilters result{.format = start.format, .scales = start.scales};
  if (by_filter) {
    for (size_t o = 0; o < largest.size(); ++o) {
      if (largest[o] > 0.0) result.scales[o] = std::ldexp(1.0, step - std::ilogb(largest[o]));
    }
    return result;
  }
  const double top = *std::ranges::max_element(largest);
  if (top > 0.0) {
    result.format.offset = std::clamp(std::ilogb(top) - step, -kMaxShiftOffset, kMaxShiftOffset);
  }
  return result;
}

/// Filter by filter, or the whole layer.
void take_better(const RoundedFilters& other, bool by_filter, RoundedFilters& best) {
  if (!by_filter) {
    if (sum_of(other.statistics.error) < sum_of(best.statistics.error)) best = other;
    return;
  }
  const size_t depth = best.filters.size() / best.scales.size();
  for (size_t o = 0; o < best.scales.size(); ++o) {
    if (!(other.statistics.error[o] < best.statistics.error[o])) continue;
    best.scales[o] = other.scales[o];
    const auto filter = static_cast<int64_t>(o * depth);
    std::copy_n(other.filters.begin() + filter, depth, best.filters.begin() + filter);
    best.statistics.mean[o] = other.statistics.mean[o];
    best.statistics.variance[o] = other.statistics.variance[o];
    best.statistics.error[o] = other.statistics.error[o];
  }
}

}  // namespace

RoundedFilters round_layer(const std::vector<GroupMoments>& moments, const std::vector<double>& filters,
                           const LayerRounding& options) {
  size_t outputs = 0;
  for (const GroupMoments& group : moments) outputs += at(group.outputs);
  DS_CHECK(outputs > 0, "[compensate] layer {} has no outputs", options.path);
  const RoundedFilters start{.format = options.format, .scales = std::vector<double>(outputs, 1.0)};
  RoundedFilters best = start;
  round_filters(moments, filters, options, best);
  if (options.format.bits > options.offset_bits || options.compensation == Compensation::kStatistics)
    return best;
  const std::vector<double> largest = largest_of(filters, outputs);
  for (int step = -1; step <= 2; ++step) {
    RoundedFilters other = moved(start, largest, step, options.norm_follows);
    round_filters(moments, filters, options, other);
    take_better(other, options.norm_follows, best);
  }
  return best;
}

}  // namespace ds
