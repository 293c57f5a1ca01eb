// What a layer gives where its inputs are rounded in blocks: each block is to make up for what those before
// it got wrong, and the blocks' own moments do not say how their shares of an output vary together.
#pragma once

#include "layers/compensation/layer_rounding.h"

namespace ds {

/// Outputs for all images without bias, N,H',W',O or N,O, as sums of the shares of blocks.
class BlockOutputs {
 public:
  explicit BlockOutputs(int64_t images) : images_(images) {}

  /// Adds a block's shares for images from `begin` on: of the float layer, as it is now and with weights that
  /// are only rounded, all in the float layer's scale.
  void add(int64_t begin, const Tensor& y, const Tensor& now, const Tensor& plain);
  /// `share` of the float layer and what is missing before it of the float layer's outputs.
  Tensor wanted(int64_t begin, const Tensor& share) const;
  /// `scales`: what the filters were multiplied by. Errors are about the means where those are free.
  OutputStatistics statistics(const std::vector<double>& scales, bool mean_is_free) const;

 private:
  int64_t images_;
  Tensor y_;
  Tensor now_;
  Tensor plain_;
};

}  // namespace ds
