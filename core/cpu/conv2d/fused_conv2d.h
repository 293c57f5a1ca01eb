// A convolution made ready for inference: its filters stand in the order of the kernels that its plan chose,
// and what follows it is done while its outputs are in the cache.
//
//   y = min(max(conv2d(x, w, bias) + shortcut, low), high)
#pragma once

#include <limits>
#include <variant>

#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/cpu/conv2d/conv2d_winograd.h"
#include "core/cpu/kernels/select.h"

namespace ds::cpu {

struct FusedConv2dOptions {
  Conv2dOptions convolution = {};
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

class FusedConv2d {
 public:
  /// f32; w [O,kh,kw,I/groups], bias [O] or undefined. The algorithm is the plan's for the engine and
  /// instruction set in use and an input of shape N,H,W,I; other batches and image sizes are computed with it
  /// too. Filters and bias are copied. Throws Error where shapes or types do not fit.
  FusedConv2d(const Shape& input, const Tensor& w, const Tensor& bias, const FusedConv2dOptions& options);

  /// The shortcut has y's shape or is undefined. Throws Error where shapes or types do not fit, and when the
  /// instruction set was changed.
  Tensor operator()(const Tensor& x, const Tensor& shortcut = {}) const;

  const Conv2dPlan& plan() const { return plan_; }

 private:
  FusedConv2dOptions options_;
  Conv2dPlan plan_;
  Isa isa_;
  Shape w_shape_;
  struct PlainFilters {
    Tensor w;
    Tensor bias;
  };
  std::variant<PlainFilters, DirectFilters, WinogradFilters, DepthwiseFilters> filters_;
};

}  // namespace ds::cpu
