// One layer of a conversion without training: from the moments of what it reads and gives to its filters.
#pragma once

#include <string>
#include <vector>

#include "layers/compensation/moments.h"
#include "layers/compensation/rounding.h"

namespace ds {

/// How much of it is done; the less, the more a comparison of methods learns.
enum class Compensation : uint8_t {
  kStatistics,   // weights are rounded one by one, and the outputs' means and variances matched
  kFloatTarget,  // errors are handed on, with w* = w_float
  kFull,
};

struct CompensationOptions {
  Compensation compensation = Compensation::kFull;
  double damping = 0.01;
  int sweeps = 6;  // of coordinate descent, at most
  /// Weights of up to so many bits get the exponent offset that leaves the smallest error: each filter where
  /// a batch norm follows, whose statistics take it in; else one a layer.
  int offset_bits = 3;
};

struct LayerToRound {
  std::string path = {};  // for errors
  ShiftFormat format = {};
  Tensor weight = {};         // the float one, f32: O,kh,kw,I/groups, or O,I
  bool mean_is_free = false;  // a bias or batch norm makes up for it
  bool norm_follows = false;  // and for the scale of an output
};

/// By output of a layer, without bias: means and variances, and the mean square errors in the float layer's
/// scale.
struct OutputStatistics {
  explicit OutputStatistics(int64_t outputs = 0);

  std::vector<double> float_mean;
  std::vector<double> float_variance;
  std::vector<double> mean;
  std::vector<double> variance;
  std::vector<double> error;
  std::vector<double> plain_error;  // when the weights are only rounded
};

/// Filters in a format, each times a power of two that a batch norm undoes.
struct RoundedFilters {
  ShiftFormat format = {};  // with the layer's offset
  std::vector<double> scales = {};
  Tensor weight = {};  // f32, of the float weight's shape
  OutputStatistics statistics = OutputStatistics();
};

/// Input channels [first, first + count) of a group.
struct ChannelBlock {
  int64_t first = 0;
  int64_t count = 0;
};

/// Takes a layer's inputs in blocks, one after the other: what one needs is gone when the next one comes.
class LayerRounding {
 public:
  LayerRounding(const LayerToRound& layer, const CompensationOptions& options);

  /// Moments, by group, of the channels of a block and of what its share of the outputs is to be. The first
  /// block decides about scales or an offset. Throws Error naming the path where the system is singular
  /// whatever the damping.
  void add(std::vector<GroupMoments> moments, const ChannelBlock& block);
  /// Those of a block that was added, in the float layer's scale.
  Tensor filters(const ChannelBlock& block) const;
  /// The statistics are those of the first block alone.
  RoundedFilters finish() &&;

 private:
  class Group;

  void round(const Group& group, int64_t begin, int64_t end, const ChannelBlock& block);
  void settle();

  const LayerToRound& layer_;
  const CompensationOptions& options_;
  std::vector<RoundedFilters> candidates_;  // by scale or offset, until that is settled
  bool is_settled_ = false;
};

/// Channels of a block of the last axis, for one that is not all of it a copy.
Tensor channels_of(const Tensor& tensor, const ChannelBlock& block);

}  // namespace ds
