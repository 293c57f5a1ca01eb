// The native float convolutions, NHWC: direct with the micro-kernels of core/cpu/kernels/direct.h, depthwise
// with those of depthwise.h. Both are made of correlations (core/cpu/conv2d/correlation.h).
#pragma once

#include "core/backend.h"
#include "core/cpu/conv2d/epilogue.h"
#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

/// f32 tensors; shapes as in core/ops.def. With products of bf16, what they are summed over is even: a
/// group's channels of x forward, of dy in backward-data.
void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Precision precision, Tensor& y);
void conv2d_backward_data_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                 Precision precision, Tensor& dx);
void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Precision precision, Tensor& dw);

/// Filters and bias of a forward pass in the order in which the kernels read them: packed once for inference.
struct DirectFilters {
  Shape shape;    // O,kh,kw,I/groups
  Tensor packed;  // [group][panel][tap][channel, or pair of channels][lanes of the panel]
  Tensor bias;    // [group][lanes of all panels], or undefined
  Precision precision = Precision::kF32;
};
DirectFilters pack_direct(const Tensor& w, const Tensor& bias, int64_t groups, Precision precision);
void conv2d_direct(const Tensor& x, const DirectFilters& filters, const Conv2dOptions& options,
                   const Conv2dEpilogue& epilogue, Tensor& y);

/// The same for one filter a channel: groups = input channels = output channels.
struct DepthwiseFilters {
  Shape shape;    // O,kh,kw,1
  Tensor packed;  // [position][channel]
  Tensor bias;    // [channel], or undefined
};
/// The bias is that of the caller, not a copy.
DepthwiseFilters pack_depthwise(const Tensor& w, const Tensor& bias);
void conv2d_depthwise_native(const Tensor& x, const DepthwiseFilters& filters, const Conv2dOptions& options,
                             const Conv2dEpilogue& epilogue, Tensor& y);
void conv2d_backward_data_depthwise_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                           Tensor& dx);
void conv2d_backward_weight_depthwise_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                             Tensor& dw);

}  // namespace ds::cpu
