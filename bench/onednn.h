// oneDNN's convolutions as a peer: direct algorithm, memory layouts of its own choice, nothing reordered
// within the measured call. bench/no_onednn.cpp stands in where the library is not installed.
#pragma once

#include <functional>

#include "core/cpu/conv2d/conv2d_plan.h"

namespace ds::bench {

bool has_onednn();

/// A call that computes this convolution once, on its own memory. Empty where oneDNN has no such primitive.
std::function<void()> onednn_conv2d(const cpu::Conv2dProblem& problem);

/// The forward pass with u8 values, s8 weights and u8 results, rescaled by channel, with bias and ReLU; that
/// of one pixel as a matrix product.
std::function<void()> onednn_integer_conv2d(const cpu::Conv2dProblem& problem);

}  // namespace ds::bench
