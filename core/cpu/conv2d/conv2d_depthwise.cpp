// Depthwise convolutions as loops, for the engine openblas and for f64 (native, f32:
// conv2d_depthwise_native.cpp): every pixel is a sum over kernel positions of whole rows of channels.
#include <algorithm>

#include "core/cpu/conv2d/conv2d_geometry.h"
#include "core/cpu/engines.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kGrain = 65536;     // multiply-accumulates a chunk holds at least
constexpr int64_t kMaxPartials = 64;  // partial sums of a weight gradient, added in order

/// target += a * b, elementwise.
template <class T>
void add_products(int64_t count, const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ target) {
  for (int64_t c = 0; c < count; ++c) target[c] += a[c] * b[c];
}

int64_t row_grain(const Conv2dGeometry& g, int64_t width) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, width * g.channels * g.positions()));
}

template <class T>
void forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  parallel_for(g.batch * g.output.height, row_grain(g, g.output.width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* image = x + row / g.output.height * g.input_pixels() * g.channels;
      for (int64_t column = 0; column < g.output.width; ++column) {
        T* target = y + (row * g.output.width + column) * g.channels;
        if (bias == nullptr) {
          std::fill_n(target, g.channels, T(0));
        } else {
          std::copy_n(bias, g.channels, target);
        }
        for_each_input(g, row % g.output.height, column, [&](int64_t position, int64_t pixel) {
          add_products(g.channels, image + pixel * g.channels, w + position * g.channels, target);
        });
      }
    }
  });
}

template <class T>
void backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  parallel_for(g.batch * g.input.height, row_grain(g, g.input.width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* image = dy + row / g.input.height * g.output_pixels() * g.channels;
      for (int64_t column = 0; column < g.input.width; ++column) {
        T* target = dx + (row * g.input.width + column) * g.channels;
        std::fill_n(target, g.channels, T(0));
        for_each_output(g, row % g.input.height, column, [&](int64_t position, int64_t pixel) {
          add_products(g.channels, image + pixel * g.channels, w + position * g.channels, target);
        });
      }
    }
  });
}

template <class T>
void backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, T* dw) {
  const int64_t rows = g.batch * g.output.height;
  const int64_t size = g.positions() * g.channels;
  const int64_t grain = std::max(row_grain(g, g.output.width), chunk_count(rows, kMaxPartials));
  const int64_t chunks = chunk_count(rows, grain);
  Tensor partials = Tensor::zeros({chunks, g.positions(), g.channels}, dtype_of<T>());
  T* sums = partials.data<T>();
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    T* partial = sums + begin / grain * size;
    for (int64_t row = begin; row < end; ++row) {
      const T* image = x + row / g.output.height * g.input_pixels() * g.channels;
      for (int64_t column = 0; column < g.output.width; ++column) {
        const T* gradient = dy + (row * g.output.width + column) * g.channels;
        for_each_input(g, row % g.output.height, column, [&](int64_t position, int64_t pixel) {
          add_products(g.channels, image + pixel * g.channels, gradient, partial + position * g.channels);
        });
      }
    }
  });
  for (int64_t c = 0; c < g.channels; ++c) {
    for (int64_t p = 0; p < g.positions(); ++p) {
      T sum = T(0);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * size + p * g.channels + c];
      dw[c * g.positions() + p] = sum;
    }
  }
}

}  // namespace

void conv2d_depthwise(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                      Tensor& y) {
  const Conv2dGeometry g = geometry_of(x, w, y, options);
  dispatch_float(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    const Tensor filters = depthwise_channels_last<T>(w);
    forward(g, x.data<T>(), filters.data<T>(), bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  });
}

void conv2d_backward_data_depthwise(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                    Tensor& dx) {
  const Conv2dGeometry g = geometry_of(dx, w, dy, options);
  dispatch_float(dx.dtype(), "conv2d_backward_data", [&](auto zero) {
    using T = decltype(zero);
    const Tensor filters = depthwise_channels_last<T>(w);
    backward_data(g, dy.data<T>(), filters.data<T>(), dx.data<T>());
  });
}

void conv2d_backward_weight_depthwise(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                      Tensor& dw) {
  const Conv2dGeometry g = geometry_of(x, dw, dy, options);
  dispatch_float(dw.dtype(), "conv2d_backward_weight", [&](auto zero) {
    using T = decltype(zero);
    backward_weight(g, dy.data<T>(), x.data<T>(), dw.data<T>());
  });
}

}  // namespace ds::cpu
