// 3x3 convolution with stride 1 by Winograd's F(4x4, 3x3), or forward by F(2x2, 3x3):
// core/cpu/kernels/winograd.h has the algorithm.
//
// f32 tensors; stride 1, dilation 1, one group, padding at most 2. Errors are some 1e-5 of the RMS of the
// result, ten times those of a direct convolution; with products of bf16 (an even number of channels on the
// side that is summed) some 1e-2.
#pragma once

#include "core/backend.h"
#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/cpu/conv2d/epilogue.h"
#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

void conv2d_backward_data_winograd(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                   Precision precision, Tensor& dx);
void conv2d_backward_weight_winograd(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                     Precision precision, Tensor& dw);

/// Transformed filters of a forward pass, and its bias (may be undefined): kept for inference.
struct WinogradFilters {
  Tensor transformed;
  Tensor bias;
  Precision precision = Precision::kF32;
  WinogradSide side = WinogradSide::k4;
};
WinogradFilters transform_winograd(const Tensor& w, const Tensor& bias, Precision precision,
                                   WinogradSide side);
void conv2d_winograd(const Tensor& x, const WinogradFilters& filters, const Conv2dOptions& options,
                     const Conv2dEpilogue& epilogue, Tensor& y);

}  // namespace ds::cpu
