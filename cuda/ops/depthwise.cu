// Convolutions of one channel a group: nothing to share between channels, so a thread computes one element.
#include <algorithm>

#include "core/formulas/implicit_gemm.h"
#include "cuda/ops/conv2d.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

template <class T>
struct DepthwiseForward {
  ConvolutionIndex at;
  const T* x;
  const T* w;
  T* y;
  __device__ void operator()(int64_t i) const {
    const int64_t channel = i % at.out_channels;
    T sum = 0;
    for (int64_t tap = 0; tap < at.taps(); ++tap) {
      const int64_t from = at.x_offset(channel, i / at.out_channels, tap);
      if (from != kPadding) sum += x[from] * w[channel * at.taps() + tap];
    }
    y[i] = sum;
  }
};

template <class T>
struct DepthwiseBackwardData {
  ConvolutionIndex at;
  const T* dy;
  const T* w;
  T* dx;
  __device__ void operator()(int64_t i) const {
    const int64_t channel = i % at.in_channels;
    T sum = 0;
    for (int64_t tap = 0; tap < at.taps(); ++tap) {
      const int64_t from = at.dy_offset(channel, i / at.in_channels, tap);
      if (from != kPadding) sum += dy[from] * w[channel * at.taps() + tap];
    }
    dx[i] = sum;
  }
};

/// partial[part][channel][tap]: the sum over the part's pixels; neighbouring threads take neighbouring
/// channels.
template <class T>
struct DepthwiseBackwardWeight {
  ConvolutionIndex at;
  int64_t part_pixels;
  const T* dy;
  const T* x;
  double* partial;
  __device__ void operator()(int64_t i) const {
    const int64_t channel = i % at.out_channels;
    const int64_t tap = i / at.out_channels % at.taps();
    const int64_t part = i / at.out_channels / at.taps();
    const int64_t end = min((part + 1) * part_pixels, at.out_pixels());
    double sum = 0.0;
    for (int64_t pixel = part * part_pixels; pixel < end; ++pixel) {
      const int64_t from = at.x_offset(channel, pixel, tap);
      if (from != kPadding) sum += static_cast<double>(x[from] * dy[pixel * at.out_channels + channel]);
    }
    partial[(part * at.out_channels + channel) * at.taps() + tap] = sum;
  }
};

template <class T>
void run_backward_weight(const ConvolutionIndex& at, const Convolution& convolution) {
  Tensor dw = convolution.w;
  constexpr int64_t kFewestPixels = 64;
  const int64_t most = std::max<int64_t>(1, at.out_pixels() / kFewestPixels);
  const int64_t parts = std::clamp<int64_t>(kMostBlocks * kBlockThreads / dw.numel(), 1, most);
  Tensor partial = Tensor::empty({parts, dw.numel()}, DType::kF64, dw.device());
  for_each(dw, partial.numel(),
           DepthwiseBackwardWeight<T>{at, (at.out_pixels() + parts - 1) / parts, convolution.y.data<T>(),
                                      convolution.x.data<T>(), partial.data<double>()});
  Tensor sums = Tensor::empty({1, dw.numel()}, DType::kF64, dw.device());
  sum_to(partial, sums);
  cast(sums, dw);
}

}  // namespace

bool is_depthwise(const Convolution& convolution) {
  const int64_t groups = convolution.options.groups;
  return groups > 1 && convolution.x.size(3) == groups && convolution.y.size(3) == groups;
}

void run_depthwise(const Convolution& convolution) {
  const ConvolutionIndex at(convolution.x.shape(), convolution.w.shape(), convolution.y.shape(),
                            convolution.options);
  dispatch_float(convolution.x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    Tensor x = convolution.x;
    Tensor y = convolution.y;
    const Tensor& w = convolution.w;
    switch (convolution.direction) {
      case Direction::kForward:
        for_each(y, y.numel(), DepthwiseForward<T>{at, x.data<T>(), w.data<T>(), y.data<T>()});
        return;
      case Direction::kBackwardData:
        for_each(x, x.numel(), DepthwiseBackwardData<T>{at, y.data<T>(), w.data<T>(), x.data<T>()});
        return;
      case Direction::kBackwardWeight: run_backward_weight<T>(at, convolution); return;
    }
  });
}

}  // namespace ds::cuda
