// How a shift weight rounds in this forward pass.
#pragma once

#include "core/op_options.h"
#include "layers/weights/weight.h"

namespace ds {

/// Nearest, or stochastic when the weight asks for it and this is training; then one word of the default
/// generator is taken for each weight.
ShiftRoundingOptions shift_rounding(const Weight& weight, bool training);

}  // namespace ds
