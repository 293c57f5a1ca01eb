#include "layers/compensation/layer_rounding.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/linear_algebra.h"
#include "layers/compensation/vectors.h"
#include "layers/weights/weight.h"

namespace ds {
namespace {

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

/// Filters, one after the other, each times its scale.
std::vector<double> scaled(std::vector<double> filters, const std::vector<double>& scales) {
  const size_t depth = filters.size() / scales.size();
  for (size_t i = 0; i < filters.size(); ++i) filters[i] *= scales[i / depth];
  return filters;
}

/// One group of a layer's filters and all that does not depend on how they are scaled.
class Group {
 public:
  Group(const GroupMoments& moments, std::vector<double> filters, const LayerToRound& layer,
        const CompensationOptions& options)
      : moments_(moments),
        options_(options),
        centred_(moments.centred()),
        mean_is_free_(layer.mean_is_free),
        plain_(
            doubles(make_weight(layer.format, floats(filters, {moments.outputs, moments.depth}))->rounded())),
        target_(std::move(filters)) {
    if (options.compensation == Compensation::kStatistics) return;
    const double r = damping_of(moments, used(), options.damping);
    std::vector<double> matrix = used().xx;
    for (int64_t i = 0; i < used().depth; ++i) matrix[at(i * used().depth + i)] += r;
    if (options.compensation == Compensation::kFull) fit(matrix, r, layer.path);
    rounding_.emplace(matrix, used().depth);
  }

  /// Adds its filters to the result, in that one's format, whose levels are `grid`, and scales.
  void round(const Levels& grid, RoundedFilters& result) const {
    const auto first = static_cast<int64_t>(result.statistics.mean.size());
    const std::vector<double> scales(result.scales.begin() + first,
                                     result.scales.begin() + first + moments_.outputs);
    const std::vector<double> q =
        rounding_ ? rounding_->round(scaled(target_, scales), grid, options_.sweeps) : plain_;
    add_statistics(q, scales, result.statistics);
    result.filters.insert(result.filters.end(), q.begin(), q.end());
  }

 private:
  const GroupMoments& used() const { return mean_is_free_ ? centred_ : moments_; }

  /// The target becomes w*: the filters that give y from x best, not far from the float ones.
  void fit(const std::vector<double>& matrix, double r, const std::string& path) {
    for (size_t i = 0; i < target_.size(); ++i) target_[i] = used().yx[i] + r * target_[i];
    const std::optional<Cholesky> factor = Cholesky::factor(matrix, used().depth);
    DS_CHECK(factor.has_value(),
             "[compensate] the system of layer {} is singular: more damping or images are needed", path);
    factor->solve(target_.data(), used().outputs);
  }

  void add_statistics(const std::vector<double>& q, std::vector<double> scales,
                      OutputStatistics& statistics) const {
    for (double& scale : scales) scale = 1.0 / scale;
    const std::vector<double> variance = centred_.squares(q);
    const std::vector<double> errors = used().errors(scaled(q, scales));
    const std::vector<double> plain_errors = used().errors(plain_);
    for (int64_t o = 0; o < moments_.outputs; ++o) {
      const double* w = q.data() + o * moments_.depth;
      statistics.mean.push_back(std::inner_product(moments_.x.begin(), moments_.x.end(), w, 0.0));
      statistics.variance.push_back(std::max(variance[at(o)], 0.0));
      statistics.float_mean.push_back(moments_.y[at(o)]);
      statistics.float_variance.push_back(std::max(centred_.yy[at(o)], 0.0));
      statistics.error.push_back(errors[at(o)]);
      statistics.plain_error.push_back(plain_errors[at(o)]);
    }
  }

  const GroupMoments& moments_;
  const CompensationOptions& options_;
  GroupMoments centred_;
  bool mean_is_free_;
  std::vector<double> plain_;   // rounded one by one
  std::vector<double> target_;  // w*, or the float filters
  std::optional<CompensatedRounding> rounding_;
};

std::vector<Group> groups_of(const std::vector<GroupMoments>& moments, const LayerToRound& layer,
                             const CompensationOptions& options) {
  std::vector<Group> groups;
  auto first = layer.filters.begin();
  for (const GroupMoments& group : moments) {
    const auto end = first + group.outputs * group.depth;
    groups.emplace_back(group, std::vector<double>(first, end), layer, options);
    first = end;
  }
  return groups;
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

void round_all(const std::vector<Group>& groups, RoundedFilters& result) {
  const Levels grid(result.format);
  for (const Group& group : groups) group.round(grid, result);
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

RoundedFilters round_layer(const std::vector<GroupMoments>& moments, const LayerToRound& layer,
                           const CompensationOptions& options) {
  const std::vector<Group> groups = groups_of(moments, layer, options);
  size_t outputs = 0;
  for (const GroupMoments& group : moments) outputs += at(group.outputs);
  DS_CHECK(outputs > 0, "[compensate] layer {} has no outputs", layer.path);
  const RoundedFilters start{.format = layer.format, .scales = std::vector<double>(outputs, 1.0)};
  RoundedFilters best = start;
  round_all(groups, best);
  if (layer.format.bits > options.offset_bits || options.compensation == Compensation::kStatistics)
    return best;
  const std::vector<double> largest = largest_of(layer.filters, outputs);
  for (int step = -1; step <= 2; ++step) {
    RoundedFilters other = moved(start, largest, step, layer.norm_follows);
    round_all(groups, other);
    take_better(other, layer.norm_follows, best);
  }
  return best;
}

}  // namespace ds
