// The native float convolution: direct, NHWC, micro-kernels of core/cpu/kernels/direct.h.
//
// Forward and backward-data are the same computation, a *correlation*: an output pixel m (per axis) sums,
// over taps, the source pixel m * step + tap. Forward has one correlation with step = stride. Backward-data
// has one for every phase of the stride: input pixels with equal (i + padding) mod stride see the same taps
// of dy, with step 1. Each image's source is copied into a scratch with a border of zeros, so that the
// kernels need no bounds; taps that are neighbours in memory are merged into one run of channels.
#pragma once

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

/// f32 only; shapes as in core/ops.def.
void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Tensor& y);
void conv2d_backward_data_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx);
void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Tensor& dw);

}  // namespace ds::cpu
