// The two streams of a conversion: values of a traced graph for all sample images, in the float network and
// in the one as converted so far. What is kept for all images is the caller's choice; everything else is
// evaluated again where it is needed, a few images at a time.
#pragma once

#include <map>
#include <vector>

#include "autograd/replay.h"
#include "core/op_options.h"

namespace ds {

class Stream {
 public:
  /// The graph must outlive it, and its constants stay as they are. Images are computed in batches that begin
  /// at multiples of `batch`.
  Stream(const Graph& graph, Tensor images, int64_t batch);

  /// Rows [begin, end) of a value; `begin` is a multiple of the batch.
  Tensor rows(int value, int64_t begin, int64_t end) const;
  /// Keeps a value for all images.
  void keep(int value);
  void forget(int value);
  bool keeps(int value) const { return kept_.contains(value); }

  /// From now on a value is rounded to this format, for all that read it.
  void round(int value, const FixedPointOptions& format) { formats_[value] = format; }
  bool rounds(int value) const { return formats_.contains(value); }

  const Tensor& constant(int value) const { return constants_.at(value); }
  void set_constant(int value, const Tensor& tensor) { constants_[value] = tensor; }

 private:
  /// A constant, or rows of a value that is kept; undefined for others.
  Tensor at_hand(int value, int64_t begin, int64_t end) const;
  Tensor computed(int value, int64_t begin, int64_t end) const;
  Tensor rounded(int value, const Tensor& tensor) const;

  const Graph& graph_;
  int64_t images_;
  int64_t batch_;
  std::map<int, Tensor> kept_;                // by value
  std::map<int, FixedPointOptions> formats_;  // of those that are rounded
  std::map<int, Tensor> constants_;           // leaves but the input
  std::vector<ReplayedCall> calls_;           // by node
};

}  // namespace ds
