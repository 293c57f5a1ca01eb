#include "layers/compensation/layer_rounding.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/linear_algebra.h"
#include "core/ops.h"
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
double damping_of(double mean_moment, const GroupMoments& used, double damping) {
  constexpr double kSumRounding = 1e-5;
  const double r = std::max(damping * mean_diagonal(used), kSumRounding * mean_moment);
  return r > 0.0 ? r : 1.0;
}

/// H + r I, which is positive definite.
struct Damped {
  double r;
  std::vector<double> matrix;
  std::optional<Cholesky> factor;
};

/// With r, or where that is too little for the rounding of the moments, which grows with the layer and shows
/// where few images say little, with ten times as much until it is enough.
Damped damp(const GroupMoments& moments, double r, const std::string& path) {
  constexpr int kMostSteps = 8;
  for (int step = 0; step < kMostSteps; ++step, r *= 10.0) {
    std::vector<double> matrix = moments.xx;
    for (int64_t i = 0; i < moments.depth; ++i) matrix[at(i * moments.depth + i)] += r;
    std::optional<Cholesky> factor = Cholesky::factor(matrix, moments.depth);
    if (factor) return {.r = r, .matrix = std::move(matrix), .factor = std::move(factor)};
  }
  fail("[compensate] the system of layer {} is singular: more damping or images are needed", path);
}

/// Filters, one after the other, each times its scale.
std::vector<double> scaled(std::vector<double> filters, const std::vector<double>& scales) {
  const size_t depth = filters.size() / scales.size();
  for (size_t i = 0; i < filters.size(); ++i) filters[i] *= scales[i / depth];
  return filters;
}

/// One group of a layer's filters on a block of its inputs, and all that does not depend on how they are
/// scaled.
class Group {
 public:
  Group(GroupMoments moments, std::vector<double> filters, const LayerToRound& layer,
        const CompensationOptions& options)
      : used_(std::move(moments)),
        options_(options),
        plain_(doubles(make_weight(layer.format, floats(filters, {used_.outputs, used_.depth}))->rounded())),
        target_(std::move(filters)) {
    const double mean_moment = mean_diagonal(used_);
    if (layer.mean_is_free) used_.centre();
    is_centred_ = layer.mean_is_free;
    if (options.compensation == Compensation::kStatistics) return;
    Damped damped = damp(used_, damping_of(mean_moment, used_, options.damping), layer.path);
    if (options.compensation == Compensation::kFull) fit(damped);
    damped.factor.reset();  // room for the next
    rounding_.emplace(std::move(damped.matrix), used_.depth);
  }

  int64_t outputs() const { return used_.outputs; }

  /// Its filters with these scales, to levels of the grid.
  std::vector<double> round(const std::vector<double>& scales, const Levels& grid) const {
    return rounding_ ? rounding_->round(scaled(target_, scales), grid, options_.sweeps) : plain_;
  }

  /// Adds what filters q do to the statistics of outputs from `first` on.
  void add_statistics(const std::vector<double>& q, std::vector<double> scales, int64_t first,
                      OutputStatistics& statistics) const {
    for (double& scale : scales) scale = 1.0 / scale;
    const std::vector<double> squares = used_.squares(q);
    const std::vector<double> errors = used_.errors(scaled(q, scales));
    const std::vector<double> plain_errors = used_.errors(plain_);
    for (int64_t i = 0; i < used_.outputs; ++i) {
      const size_t o = at(first + i);
      const double* w = q.data() + i * used_.depth;
      const double mean = std::inner_product(used_.x.begin(), used_.x.end(), w, 0.0);
      const double float_mean = used_.y[at(i)];
      const double variance = squares[at(i)] - (is_centred_ ? 0.0 : mean * mean);
      const double float_variance = used_.yy[at(i)] - (is_centred_ ? 0.0 : float_mean * float_mean);
      statistics.mean[o] += mean;
      statistics.variance[o] += std::max(variance, 0.0);
      statistics.float_mean[o] += float_mean;
      statistics.float_variance[o] += std::max(float_variance, 0.0);
      statistics.error[o] += errors[at(i)];
      statistics.plain_error[o] += plain_errors[at(i)];
    }
  }

 private:
  /// The target becomes w*: the filters that give y from x best, not far from the float ones.
  void fit(const Damped& damped) {
    for (size_t i = 0; i < target_.size(); ++i) target_[i] = used_.yx[i] + damped.r * target_[i];
    damped.factor->solve(target_.data(), used_.outputs);
  }

  GroupMoments used_;  // about the means, where they are free
  bool is_centred_ = false;
  const CompensationOptions& options_;
  std::vector<double> plain_;   // rounded one by one
  std::vector<double> target_;  // w*, or the float filters
  std::optional<CompensatedRounding> rounding_;
};

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
  const std::vector<double> filters = doubles(channels_of(layer_.weight, block));
  std::vector<Group> groups;
  auto first = filters.begin();
  for (GroupMoments& group : moments) {
    const auto end = first + group.outputs * group.depth;
    groups.emplace_back(std::move(group), std::vector<double>(first, end), layer_, options_);
    first = end;
  }
  for (RoundedFilters& candidate : candidates_) {
    const Levels grid(candidate.format);
    std::vector<double> rounded;
    int64_t output = 0;
    for (const Group& group : groups) {
      const auto scale = candidate.scales.begin() + output;
      const std::vector<double> scales(scale, scale + group.outputs());
      const std::vector<double> q = group.round(scales, grid);
      group.add_statistics(q, scales, output, candidate.statistics);
      rounded.insert(rounded.end(), q.begin(), q.end());
      output += group.outputs();
    }
    const Tensor part = floats(rounded, layer_.weight.shape().with(-1, block.count));
    ops::copy_channels(part, 0, block.count, candidate.weight, block.first);
  }
}

RoundedFilters LayerRounding::finish() && {
  RoundedFilters best = std::move(candidates_.front());
  for (size_t i = 1; i < candidates_.size(); ++i) take_better(candidates_[i], layer_.norm_follows, best);
  return best;
}

}  // namespace ds
