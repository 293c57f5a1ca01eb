// The convolution kernels: the engine, the element type and the shape decide who computes.
#include "core/backend.h"
#include "core/cpu/conv2d_native.h"
#include "core/cpu/engines.h"
#include "core/cpu/kernels.h"

namespace ds::cpu {
namespace {

enum class Route : uint8_t { kReference, kDepthwise, kOpenBlas, kNative };

Route route_of(int64_t channels, int64_t outputs, const Conv2dOptions& options, DType dtype) {
  if (engine() == Engine::kReference) return Route::kReference;
  if (options.groups > 1 && options.groups == channels && channels == outputs) return Route::kDepthwise;
  return engine() == Engine::kNative && dtype == DType::kF32 ? Route::kNative : Route::kOpenBlas;
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options, Tensor& y) {
  switch (route_of(x.size(3), y.size(3), options, x.dtype())) {
    case Route::kReference: return conv2d_reference(x, w, bias, options, y);
    case Route::kDepthwise: return conv2d_depthwise(x, w, bias, options, y);
    case Route::kOpenBlas: return conv2d_openblas(x, w, bias, options, y);
    case Route::kNative: return conv2d_native(x, w, bias, options, y);
  }
}

void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx) {
  switch (route_of(dx.size(3), dy.size(3), options, dx.dtype())) {
    case Route::kReference: return conv2d_backward_data_reference(dy, w, options, dx);
    case Route::kDepthwise: return conv2d_backward_data_depthwise(dy, w, options, dx);
    case Route::kOpenBlas: return conv2d_backward_data_openblas(dy, w, options, dx);
    case Route::kNative: return conv2d_backward_data_native(dy, w, options, dx);
  }
}

void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  switch (route_of(x.size(3), dy.size(3), options, x.dtype())) {
    case Route::kReference: return conv2d_backward_weight_reference(dy, x, options, dw);
    case Route::kDepthwise: return conv2d_backward_weight_depthwise(dy, x, options, dw);
    case Route::kOpenBlas: return conv2d_backward_weight_openblas(dy, x, options, dw);
    case Route::kNative: return conv2d_backward_weight_native(dy, x, options, dw);
  }
}

}  // namespace ds::cpu
