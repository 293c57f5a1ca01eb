// Pooling: a thread computes one element of the result from all that it is made of, in order, so that no two
// threads write to the same place.
#include "core/formulas/pool_window.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

/// Pixel (row, column) of an image and a channel.
struct Place {
  int64_t image;
  int64_t row;
  int64_t column;
  int64_t channel;
};

/// Where element i of [N,H,W,C] is.
__device__ Place place_of(int64_t i, int64_t height, int64_t width, int64_t channels) {
  const int64_t pixel = i / channels;
  return {pixel / width / height, pixel / width % height, pixel % width, i % channels};
}

template <class T>
struct MaxPool {
  PoolAxis rows;
  PoolAxis columns;
  int64_t channels;
  const T* x;
  T* y;
  int32_t* index;

  __device__ void operator()(int64_t i) const {
    const Place at = place_of(i, rows.output, columns.output, channels);
    const PoolRange of_rows = rows.window(at.row);
    const PoolRange of_columns = columns.window(at.column);
    const T* plane = x + at.image * rows.input * columns.input * channels + at.channel;
    int64_t best_position = of_rows.begin * columns.input + of_columns.begin;
    T best = plane[best_position * channels];
    for (int64_t row = of_rows.begin; row < of_rows.end; ++row) {
      for (int64_t column = of_columns.begin; column < of_columns.end; ++column) {
        const int64_t position = row * columns.input + column;
        const T value = plane[position * channels];
        if (value > best || (value != value && best == best)) {  // the first NaN wins and stays
          best = value;
          best_position = position;
        }
      }
    }
    y[i] = best;
    index[i] = static_cast<int32_t>(best_position);
  }
};

/// A channel of an image after the other: which windows overlap is not known here. Positions beyond the
/// plane, which max_pool2d never gives, have no part.
template <class T>
struct MaxPoolBackward {
  int64_t plane;
  int64_t out_plane;
  int64_t channels;
  const T* dy;
  const int32_t* index;
  T* dx;

  __device__ void operator()(int64_t i) const {
    const int64_t image = i / channels;
    const int64_t channel = i % channels;
    T* target = dx + image * plane * channels + channel;
    const int64_t first = image * out_plane * channels + channel;
    for (int64_t pixel = 0; pixel < out_plane; ++pixel) {
      const int64_t from = first + pixel * channels;
      if (index[from] >= 0 && index[from] < plane) target[index[from] * channels] += dy[from];
    }
  }
};

template <class T>
__device__ T share_of(const PoolRange& rows, const PoolRange& columns) {
  return static_cast<T>(1.0 / static_cast<double>(rows.counted * columns.counted));
}

template <class T, class Axis>
struct AveragePool {
  Axis rows;
  Axis columns;
  int64_t channels;
  const T* x;
  T* y;

  __device__ void operator()(int64_t i) const {
    const Place at = place_of(i, rows.output, columns.output, channels);
    const PoolRange of_rows = rows.window(at.row);
    const PoolRange of_columns = columns.window(at.column);
    const T* plane = x + at.image * rows.input * columns.input * channels + at.channel;
    T sum = 0;
    for (int64_t row = of_rows.begin; row < of_rows.end; ++row) {
      for (int64_t column = of_columns.begin; column < of_columns.end; ++column) {
        sum += plane[(row * columns.input + column) * channels];
      }
    }
    y[i] = sum * share_of<T>(of_rows, of_columns);
  }
};

template <class T, class Axis>
struct AveragePoolBackward {
  Axis rows;
  Axis columns;
  int64_t channels;
  const T* dy;
  T* dx;

  __device__ void operator()(int64_t i) const {
    const Place at = place_of(i, rows.input, columns.input, channels);
    const PoolRange of_rows = rows.outputs_of(at.row);
    const PoolRange of_columns = columns.outputs_of(at.column);
    const T* plane = dy + at.image * rows.output * columns.output * channels + at.channel;
    T sum = 0;
    for (int64_t row = of_rows.begin; row < of_rows.end; ++row) {
      for (int64_t column = of_columns.begin; column < of_columns.end; ++column) {
        sum += share_of<T>(rows.window(row), columns.window(column)) *
               plane[(row * columns.output + column) * channels];
      }
    }
    dx[i] = sum;
  }
};

template <class Axis>
void average(const char* operation, const Axis& rows, const Axis& columns, const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), AveragePool<T, Axis>{rows, columns, x.size(3), x.data<T>(), y.data<T>()});
  });
}

template <class Axis>
void average_backward(const char* operation, const Axis& rows, const Axis& columns, const Tensor& dy,
                      Tensor& dx) {
  dispatch_float(dy.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    for_each(dx, dx.numel(),
             AveragePoolBackward<T, Axis>{rows, columns, dx.size(3), dy.data<T>(), dx.data<T>()});
  });
}

AdaptivePoolAxis adaptive_rows(const Tensor& x, const Tensor& y) { return {x.size(1), y.size(1)}; }
AdaptivePoolAxis adaptive_columns(const Tensor& x, const Tensor& y) { return {x.size(2), y.size(2)}; }

}  // namespace

void max_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y, Tensor& index) {
  dispatch_float(x.dtype(), "max_pool2d", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(),
             MaxPool<T>{pool_rows(x.shape(), y.shape(), options), pool_columns(x.shape(), y.shape(), options),
                        x.size(3), x.data<T>(), y.data<T>(), index.data<int32_t>()});
  });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& index, Tensor& dx) {
  dx.fill(0.0);
  dispatch_float(dy.dtype(), "max_pool2d_backward", [&](auto zero) {
    using T = decltype(zero);
    for_each(dx, dx.size(0) * dx.size(3),
             MaxPoolBackward<T>{dx.size(1) * dx.size(2), dy.size(1) * dy.size(2), dx.size(3), dy.data<T>(),
                                index.data<int32_t>(), dx.data<T>()});
  });
}

void avg_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y) {
  average("avg_pool2d", pool_rows(x.shape(), y.shape(), options), pool_columns(x.shape(), y.shape(), options),
          x, y);
}

void avg_pool2d_backward(const Tensor& dy, const Pool2dOptions& options, Tensor& dx) {
  average_backward("avg_pool2d_backward", pool_rows(dx.shape(), dy.shape(), options),
                   pool_columns(dx.shape(), dy.shape(), options), dy, dx);
}

void adaptive_avg_pool2d(const Tensor& x, Tensor& y) {
  average("adaptive_avg_pool2d", adaptive_rows(x, y), adaptive_columns(x, y), x, y);
}

void adaptive_avg_pool2d_backward(const Tensor& dy, Tensor& dx) {
  average_backward("adaptive_avg_pool2d_backward", adaptive_rows(dx, dy), adaptive_columns(dx, dy), dy, dx);
}

}  // namespace ds::cuda
