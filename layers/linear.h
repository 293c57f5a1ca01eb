// Fully connected: y = x w^T + b, x [N,I], w [O,I], b [O], y [N,O].
//
// Starts as PyTorch's does: w ~ U(-k, k), b ~ U(-k, k), k = 1 / sqrt(I).
#pragma once

#include "layers/weighted_layer.h"

namespace ds {

struct LinearOptions {
  bool bias = true;
  /// H,W,C of the image whose Flatten this layer follows; files order its inputs as C,H,W
  /// (docs/decisions/0001-linear-is-told-what-was-flattened.md).
  Shape flattened = {};
};

class Linear : public WeightedLayer {
 public:
  /// Throws Error for features that are not positive, and unless `flattened`, if given, is H,W,C with
  /// in_features elements.
  Linear(int64_t in_features, int64_t out_features, const LinearOptions& options = {});

  Variable forward(const Variable& x) override;
  std::string describe() const override;
};

}  // namespace ds
