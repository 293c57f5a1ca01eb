// The implementations that the kernels gemm and conv2d* of core/ops.def choose between (core/cpu/gemm.cpp,
// core/cpu/conv2d/conv2d.cpp).
//
// reference: plain loops that add in double. openblas: im2col + gemm, one thread a chunk. native:
// core/cpu/conv2d/conv2d_native.h, core/cpu/gemm_native.cpp. Shapes and layouts are those of core/ops.h; f32
// and f64.
#pragma once

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

void gemm_reference(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y);
void gemm_openblas(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y);
/// Whether y = a op(b) is a product that the native engine has, and is faster at.
bool suits_gemm_native(const Tensor& a, const GemmOptions& options, const Tensor& y);
void gemm_native(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y);

void conv2d_reference(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                      Tensor& y);
void conv2d_backward_data_reference(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                    Tensor& dx);
void conv2d_backward_weight_reference(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                      Tensor& dw);

void conv2d_openblas(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                     Tensor& y);
void conv2d_backward_data_openblas(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                   Tensor& dx);
void conv2d_backward_weight_openblas(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                     Tensor& dw);

/// One filter a channel (groups = input channels = output channels): too little arithmetic for a matrix
/// product, so these are loops over channels.
void conv2d_depthwise(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                      Tensor& y);
void conv2d_backward_data_depthwise(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                    Tensor& dx);
void conv2d_backward_weight_depthwise(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                      Tensor& dw);

}  // namespace ds::cpu
