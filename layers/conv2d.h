// Convolution: y = conv2d(x, w, b), x [N,H,W,I], w [O,kh,kw,I/groups], b [O], y [N,H',W',O],
// H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1.
//
// Starts as PyTorch's does: w ~ U(-k, k), b ~ U(-k, k), k = 1 / sqrt(kh kw I / groups).
#pragma once

#include "layers/weighted_layer.h"

namespace ds {

struct Conv2dLayerOptions {
  Size2d kernel = 1;
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

class Conv2d : public WeightedLayer {
 public:
  /// Throws Error for channels that are not positive or no multiples of groups, and for sizes out of bounds.
  Conv2d(int64_t in_channels, int64_t out_channels, const Conv2dLayerOptions& options = {});

  Variable forward(const Variable& x) override;
  std::string describe() const override;
  const Conv2dLayerOptions& options() const { return options_; }

 private:
  int64_t in_channels_;
  Conv2dLayerOptions options_;
};

}  // namespace ds
