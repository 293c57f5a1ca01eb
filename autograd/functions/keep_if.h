// For gradient closures: keep a tensor only when another input's gradient is computed from it.
#pragma once

#include "core/tensor.h"

namespace ds {

/// The tensor if the condition holds, else none. A closure then sees by defined() what it has to compute.
inline Tensor keep_if(bool condition, const Tensor& tensor) { return condition ? tensor : Tensor(); }

}  // namespace ds
