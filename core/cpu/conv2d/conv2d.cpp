// The convolution kernels: the plan of the shape decides who computes.
#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/cpu/conv2d/conv2d_winograd.h"
#include "core/cpu/engines.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {
namespace {

const Conv2dPlan& plan_of(Conv2dPass pass, const Tensor& x, const Shape& w, const Tensor& y,
                          const Conv2dOptions& options) {
  return plan_conv2d(
      {.pass = pass, .dtype = x.dtype(), .x = x.shape(), .w = w, .y = y.shape(), .options = options});
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options, Tensor& y) {
  if (y.numel() == 0) return;
  conv2d(plan_of(Conv2dPass::kForward, x, w.shape(), y, options), x, w, bias, options, y);
}

void conv2d(const Conv2dPlan& plan, const Tensor& x, const Tensor& w, const Tensor& bias,
            const Conv2dOptions& options, Tensor& y) {
  switch (plan.algorithm) {
    case Conv2dAlgorithm::kReference: return conv2d_reference(x, w, bias, options, y);
    case Conv2dAlgorithm::kDepthwiseLoops: return conv2d_depthwise(x, w, bias, options, y);
    case Conv2dAlgorithm::kDepthwise:
      return conv2d_depthwise_native(x, pack_depthwise(w, bias), options, {}, y);
    case Conv2dAlgorithm::kOpenBlas: return conv2d_openblas(x, w, bias, options, y);
    case Conv2dAlgorithm::kDirect: return conv2d_native(x, w, bias, options, plan.precision, y);
    case Conv2dAlgorithm::kWinograd:
      return conv2d_winograd(x, transform_winograd(w, bias, plan.precision, plan.side), options, {}, y);
  }
}

void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx) {
  if (dx.numel() == 0) return;
  const Conv2dPlan& plan = plan_of(Conv2dPass::kBackwardData, dx, w.shape(), dy, options);
  switch (plan.algorithm) {
    case Conv2dAlgorithm::kReference: return conv2d_backward_data_reference(dy, w, options, dx);
    case Conv2dAlgorithm::kDepthwiseLoops: return conv2d_backward_data_depthwise(dy, w, options, dx);
    case Conv2dAlgorithm::kDepthwise: return conv2d_backward_data_depthwise_native(dy, w, options, dx);
    case Conv2dAlgorithm::kOpenBlas: return conv2d_backward_data_openblas(dy, w, options, dx);
    case Conv2dAlgorithm::kDirect: return conv2d_backward_data_native(dy, w, options, plan.precision, dx);
    case Conv2dAlgorithm::kWinograd: return conv2d_backward_data_winograd(dy, w, options, plan.precision, dx);
  }
}

void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  if (dw.numel() == 0) return;
  if (dy.numel() == 0) return dw.fill(0.0);
  const Conv2dPlan& plan = plan_of(Conv2dPass::kBackwardWeight, x, dw.shape(), dy, options);
  switch (plan.algorithm) {
    case Conv2dAlgorithm::kReference: return conv2d_backward_weight_reference(dy, x, options, dw);
    case Conv2dAlgorithm::kDepthwiseLoops: return conv2d_backward_weight_depthwise(dy, x, options, dw);
    case Conv2dAlgorithm::kDepthwise: return conv2d_backward_weight_depthwise_native(dy, x, options, dw);
    case Conv2dAlgorithm::kOpenBlas: return conv2d_backward_weight_openblas(dy, x, options, dw);
    case Conv2dAlgorithm::kDirect: return conv2d_backward_weight_native(dy, x, options, plan.precision, dw);
    case Conv2dAlgorithm::kWinograd:
      return conv2d_backward_weight_winograd(dy, x, options, plan.precision, dw);
  }
}

}  // namespace ds::cpu
