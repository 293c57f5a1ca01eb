// The native float convolutions, NHWC: direct with the micro-kernels of core/cpu/kernels/direct.h, depthwise
// with those of depthwise.h. Both are made of correlations (core/cpu/conv2d/correlation.h).
#pragma once

#include "core/cpu/conv2d/epilogue.h"
#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

/// f32 only; shapes as in core/ops.def.
void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Tensor& y);
void conv2d_backward_data_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx);
void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Tensor& dw);

/// Filters and bias of a forward pass in the order in which the kernels read them: packed once for inference.
struct DirectFilters {
  Shape shape;    // O,kh,kw,I/groups
  Tensor packed;  // [group][panel][tap][channel][lanes of the panel]
  Tensor bias;    // [group][lanes of all panels], or undefined
};
DirectFilters pack_direct(const Tensor& w, const Tensor& bias, int64_t groups);
void conv2d_direct(const Tensor& x, const DirectFilters& filters, const Conv2dOptions& options,
                   const Conv2dEpilogue& epilogue, Tensor& y);

/// The same for one filter a channel: groups = input channels = output channels.
void conv2d_depthwise_native(const Tensor& x, const Tensor& w, const Tensor& bias,
                             const Conv2dOptions& options, Tensor& y);
void conv2d_backward_data_depthwise_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                           Tensor& dx);
void conv2d_backward_weight_depthwise_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                             Tensor& dw);

}  // namespace ds::cpu
