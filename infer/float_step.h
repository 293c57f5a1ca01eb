// One fused step in float arithmetic: what a FloatNet runs and what calibration watches.
#pragma once

#include <functional>
#include <vector>

#include "infer/fuse.h"

namespace ds::infer {

using FloatCall = std::function<Tensor(const std::vector<Tensor>& inputs)>;

/// The call of a step that has no scale, shortcut and clamp of its own: pooling, concatenation and the like.
/// Throws Error naming a call that is not known, and its place.
FloatCall function_call(const FusedStep& step);

}  // namespace ds::infer
