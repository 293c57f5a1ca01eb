#include "cuda/ops/conv2d.h"

#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

template <class T>
struct AddBias {
  const T* bias;
  int64_t channels;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] += bias[i % channels]; }
};

void run(const Convolution& convolution) {
  if (run_cudnn(convolution)) return;
  if (is_depthwise(convolution)) {
    run_depthwise(convolution);
  } else {
    run_implicit_gemm(convolution);
  }
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options, Tensor& y) {
  if (y.numel() == 0) return;
  run({x, w, y, options, Direction::kForward});
  if (!bias.defined()) return;
  dispatch_float(y.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), AddBias<T>{bias.data<T>(), y.size(3), y.data<T>()});
  });
}

void conv2d_backward_data(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx) {
  if (dx.numel() == 0) return;
  if (dy.numel() == 0) return dx.fill(0.0);
  run({dx, w, dy, options, Direction::kBackwardData});
}

void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  if (dw.numel() == 0) return;
  if (dy.numel() == 0) return dw.fill(0.0);
  run({x, dw, dy, options, Direction::kBackwardWeight});
}

}  // namespace ds::cuda
