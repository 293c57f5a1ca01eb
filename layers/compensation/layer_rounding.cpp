#include "layers/compensation/layer_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "core/ops.h"
#include "layers/compensation/vectors.h"
#include "layers/weights/weight.h"

namespace ds {
namespace {

constexpr int64_t kFilters = 256;  // that are rounded together, which bounds the memory

double mean_diagonal(const GroupMoments& moments) {
  double trace = 0.0;
  for (int64_t i = 0; i < moments.depth; ++i) trace += moments.xx[at(i * moments.depth + i)];
  return trace / static_cast<double>(moments.depth);
}

/// What is added to the diagonal: r. About the means, what remains of values that do not vary is the rounding
/// of f32 sums, above which r has to be. A layer that sees nothing but zeros keeps its weights.
double damping_of(double mean_moment, const GroupMoments& used, double damping) {
  constexpr double kSumRounding = 1e-5;
  const double r = std::max(damping * mean_diagonal(used), kSumRounding * mean_moment);
  return r > 0.0 ? r : 1.0;
}

/// With r, or where that is too little for the rounding of the moments, which grows with the layer and shows
/// where few images say little, with ten times as much until it is enough. Throws Error otherwise.
CompensatedRounding damped(const GroupMoments& moments, double& r, const std::string& path) {
  constexpr int kMostSteps = 8;
  for (int step = 0; step < kMostSteps; ++step, r *= 10.0) {
    std::optional<CompensatedRounding> rounding = CompensatedRounding::make(moments.xx, r, moments.depth);
    if (rounding) return *std::move(rounding);
  }
  fail("[compensate] the system of layer {} is singular: more damping or images are needed", path);
}

/// Filters, one after the other, each times its scale.
std::vector<double> scaled(std::vector<double> filters, const std::vector<double>& scales) {
  const size_t depth = filters.size() / scales.size();
  for (size_t i = 0; i < filters.size(); ++i) filters[i] *= scales[i / depth];
  return filters;
}

/// By filter.
std::vector<double> largest_of(const Tensor& weight) {
  const auto outputs = at(weight.size(0));
  const std::span<const float> values = weight.span<float>();
  const size_t depth = values.size() / outputs;
  std::vector<double> largest(outputs, 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    largest[i / depth] = std::max(largest[i / depth], std::abs(static_cast<double>(values[i])));
  }
  return largest;
}

RoundedFilters unmoved(const LayerToRound& layer) {
  const int64_t outputs = layer.weight.size(0);
  return {.format = layer.format,
          .scales = std::vector<double>(at(outputs), 1.0),
          .weight = Tensor::empty(layer.weight.shape()),
          .statistics = OutputStatistics(outputs)};
}

/// The largest level 2^-step of the largest weight's power of two: of each filter, or by an offset of the
/// layer.
RoundedFilters moved(const LayerToRound& layer, const std::vector<double>& largest, int step) {
  RoundedFilters result = unmoved(layer);
  if (layer.norm_follows) {
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
  const int64_t depth = best.weight.numel() / best.weight.size(0);
  for (size_t o = 0; o < best.scales.size(); ++o) {
    if (!(other.statistics.error[o] < best.statistics.error[o])) continue;
    best.scales[o] = other.scales[o];
    const int64_t filter = static_cast<int64_t>(o) * depth;
    std::copy_n(other.weight.data<float>() + filter, depth, best.weight.data<float>() + filter);
    best.statistics.mean[o] = other.statistics.mean[o];
    best.statistics.variance[o] = other.statistics.variance[o];
    best.statistics.error[o] = other.statistics.error[o];
  }
}

}  // namespace

/// One group of a layer's filters on a block of its inputs, and all that does not depend on how they are
/// scaled.
class LayerRounding::Group {
 public:
  /// `first`: its first output.
  Group(GroupMoments moments, int64_t first, std::vector<double> filters, const LayerToRound& layer,
        const CompensationOptions& options)
      : used_(std::move(moments)), first_(first), is_centred_(layer.mean_is_free), options_(options) {
    const double mean_moment = mean_diagonal(used_);
    if (is_centred_) used_.centre();
    if (options.compensation == Compensation::kStatistics) return;
    double r = damping_of(mean_moment, used_, options.damping);
    rounding_.emplace(damped(used_, r, layer.path));
    target_ = std::move(filters);
    if (options.compensation == Compensation::kFull) fit(r);
  }

  /// The layer's filters from `first` on, with these scales, to levels of the grid; nothing where errors are
  /// not handed on.
  std::vector<double> round(int64_t first, const std::vector<double>& scales, const Levels& grid) const {
    if (!rounding_) return {};
    const auto begin = target_.begin() + (first - first_) * used_.depth;
    const std::vector<double> targets(begin, begin + static_cast<int64_t>(scales.size()) * used_.depth);
    return rounding_->round(scaled(targets, scales), grid, options_.sweeps);
  }

  /// What filters q from `first` on do.
  void set_statistics(int64_t first, const std::vector<double>& q, std::vector<double> scales,
                      OutputStatistics& statistics) const {
    for (double& scale : scales) scale = 1.0 / scale;
    const std::vector<double> squares = used_.squares(q);
    const std::vector<double> errors =
        used_.errors(scaled(q, scales), scaled(scaled(squares, scales), scales), first - first_);
    for (size_t i = 0; i < scales.size(); ++i) {
      const size_t o = at(first) + i;
      const auto w = q.begin() + static_cast<int64_t>(i) * used_.depth;
      const double mean = std::inner_product(used_.x.begin(), used_.x.end(), w, 0.0);
      const double float_mean = used_.y[o - at(first_)];
      const double variance = squares[i] - (is_centred_ ? 0.0 : mean * mean);
      const double float_variance = used_.yy[o - at(first_)] - (is_centred_ ? 0.0 : float_mean * float_mean);
      statistics.mean[o] = mean;
      statistics.variance[o] = std::max(variance, 0.0);
      statistics.float_mean[o] = float_mean;
      statistics.float_variance[o] = std::max(float_variance, 0.0);
      statistics.error[o] = errors[i];
    }
  }

  /// The mean square errors of `plain` filters from `first` on.
  std::vector<double> errors(int64_t first, const std::vector<double>& plain) const {
    return used_.errors(plain, used_.squares(plain), first - first_);
  }

 private:
  /// The target becomes w*: the filters that give y from x best, not far from the float ones.
  void fit(double r) {
    for (size_t i = 0; i < target_.size(); ++i) target_[i] = used_.yx[i] + r * target_[i];
    rounding_->solve(target_);
  }

  GroupMoments used_;  // about the means, where they are free
  int64_t first_;
  bool is_centred_;
  const CompensationOptions& options_;
  std::vector<double> target_;  // w*, or the float filters
  std::optional<CompensatedRounding> rounding_;
};

OutputStatistics::OutputStatistics(int64_t outputs)
    : float_mean(at(outputs)),
      float_variance(at(outputs)),
      mean(at(outputs)),
      variance(at(outputs)),
      error(at(outputs)),
      plain_error(at(outputs)) {}

Tensor channels_of(const Tensor& tensor, const ChannelBlock& block) {
  if (block.count == tensor.size(-1)) return tensor;
  Tensor part = Tensor::empty(tensor.shape().with(-1, block.count), tensor.dtype());
  ops::copy_channels(tensor, block.first, block.count, part, 0);
  return part;
}

LayerRounding::LayerRounding(const LayerToRound& layer, const CompensationOptions& options)
    : layer_(layer), options_(options) {
  DS_CHECK(layer.weight.numel() > 0, "[compensate] layer {} has no weights", layer.path);
  candidates_.push_back(unmoved(layer));
  if (layer.format.bits > options.offset_bits || options.compensation == Compensation::kStatistics) return;
  const std::vector<double> largest = largest_of(layer.weight);
  for (int step = -1; step <= 2; ++step) candidates_.push_back(moved(layer, largest, step));
}

void LayerRounding::add(std::vector<GroupMoments> moments, const ChannelBlock& block) {
  int64_t first = 0;
  for (GroupMoments& of_group : moments) {
    const int64_t end = first + of_group.outputs;
    const Tensor filters = channels_of(layer_.weight.slice(first, end), block);
    const Group group(std::move(of_group), first, doubles(filters), layer_, options_);
    for (; first < end; first = std::min(first + kFilters, end)) {
      round(group, first, std::min(first + kFilters, end), block);
    }
  }
  settle();
}

/// Filters [begin, end), in every candidate.
void LayerRounding::round(const Group& group, int64_t begin, int64_t end, const ChannelBlock& block) {
  const Tensor filters = channels_of(layer_.weight.slice(begin, end), block);
  const bool needs_plain = !is_settled_ || options_.compensation == Compensation::kStatistics;
  const std::vector<double> plain =
      needs_plain ? doubles(make_weight(layer_.format, filters)->rounded()) : std::vector<double>();
  const std::vector<double> plain_errors = is_settled_ ? std::vector<double>() : group.errors(begin, plain);
  for (RoundedFilters& candidate : candidates_) {
    const std::vector<double> scales(candidate.scales.begin() + begin, candidate.scales.begin() + end);
    std::vector<double> q = group.round(begin, scales, Levels(candidate.format));
    if (q.empty()) q = plain;
    if (!is_settled_) {
      group.set_statistics(begin, q, scales, candidate.statistics);
      std::ranges::copy(plain_errors, candidate.statistics.plain_error.begin() + begin);
    }
    Tensor target = candidate.weight.slice(begin, end);
    ops::copy_channels(floats(q, filters.shape()), 0, block.count, target, block.first);
  }
}

/// The better candidate stays.
void LayerRounding::settle() {
  for (size_t i = 1; i < candidates_.size(); ++i) {
    take_better(candidates_[i], layer_.norm_follows, candidates_.front());
  }
  candidates_.resize(1);
  is_settled_ = true;
}

Tensor LayerRounding::filters(const ChannelBlock& block) const {
  const RoundedFilters& found = candidates_.front();
  Tensor filters = Tensor::empty(found.weight.shape().with(-1, block.count));
  ops::copy_channels(found.weight, block.first, block.count, filters, 0);
  const int64_t depth = filters.numel() / filters.size(0);
  for (int64_t i = 0; i < filters.numel(); ++i) {
    filters.data<float>()[i] /= static_cast<float>(found.scales[at(i / depth)]);
  }
  return filters;
}

RoundedFilters LayerRounding::finish() && { return std::move(candidates_.front()); }

}  // namespace ds
