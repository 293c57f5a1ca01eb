#include <algorithm>
#include <type_traits>

#include "core/cpu/kernels.h"
#include "core/cpu/reduction.h"
#include "core/error.h"
#include "core/formulas/pool_window.h"

namespace ds::cpu {
namespace {

/// Sizes of planes x [H,W,C] and y [H',W',C].
struct Planes {
  Planes(const Shape& x, const Shape& y)
      : height(x[1]), width(x[2]), channels(x[3]), out_height(y[1]), out_width(y[2]) {}

  int64_t height;
  int64_t width;
  int64_t channels;
  int64_t out_height;
  int64_t out_width;
};

/// Windows of one size, a stride apart.
struct Pooling : Planes {
  Pooling(const Shape& x, const Shape& y, const Pool2dOptions& options)
      : Planes(x, y), vertical(pool_rows(x, y, options)), horizontal(pool_columns(x, y, options)) {}

  PoolRange rows(int64_t oy) const { return vertical.window(oy); }
  PoolRange columns(int64_t ox) const { return horizontal.window(ox); }
  /// Output rows whose windows hold about a chunk's worth of elements.
  int64_t grain() const { return rows_per_chunk(out_width * channels * vertical.kernel * horizontal.kernel); }

  PoolAxis vertical;
  PoolAxis horizontal;
};

/// Windows that share the input out among the outputs.
struct AdaptivePooling : Planes {
  using Planes::Planes;

  PoolRange rows(int64_t oy) const { return AdaptivePoolAxis{height, out_height}.window(oy); }
  PoolRange columns(int64_t ox) const { return AdaptivePoolAxis{width, out_width}.window(ox); }
  int64_t grain() const { return rows_per_chunk(chunk_count(height, out_height) * width * channels); }
};

/// 1 / the number of pixels that an average divides by.
double weight(const PoolRange& rows, const PoolRange& columns) {
  return 1.0 / static_cast<double>(rows.counted * columns.counted);
}

/// Takes the pixel's channels where they beat the best so far; the first NaN wins and stays.
template <class T>
void keep_larger(int64_t channels, const T* __restrict x, int32_t position, T* __restrict best,
                 int32_t* __restrict index) {
  for (int64_t c = 0; c < channels; ++c) {
    const bool better = (x[c] > best[c]) | ((x[c] != x[c]) & (best[c] == best[c]));
    best[c] = better ? x[c] : best[c];
    index[c] = better ? position : index[c];
  }
}

/// Calls visit(plane, pixel, rows, columns) for every window: which plane x it lies in, and which pixel of
/// all y it becomes.
template <class Windows, class Visit>
void for_windows(const Windows& pool, int64_t planes, const Visit& visit) {
  parallel_for(planes * pool.out_height, pool.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const PoolRange rows = pool.rows(line % pool.out_height);
      for (int64_t ox = 0; ox < pool.out_width; ++ox) {
        visit(line / pool.out_height, line * pool.out_width + ox, rows, pool.columns(ox));
      }
    }
  });
}

/// The mean of each window.
template <class Windows>
void average(const char* operation, const Windows& pool, const Tensor& x, Tensor& y) {
  const int64_t channels = pool.channels;
  dispatch_float(x.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_windows(pool, x.size(0),
                [&](int64_t image, int64_t output, const PoolRange& rows, const PoolRange& columns) {
                  const T* plane = in + image * pool.height * pool.width * channels;
                  T* __restrict sum = out + output * channels;
                  std::fill_n(sum, channels, T{0});
                  for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
                    for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
                      const T* __restrict pixel = plane + (iy * pool.width + ix) * channels;
                      for (int64_t c = 0; c < channels; ++c) sum[c] += pixel[c];
                    }
                  }
                  const T scale = static_cast<T>(weight(rows, columns));
                  for (int64_t c = 0; c < channels; ++c) sum[c] *= scale;
                });
  });
}

/// The gradient of each mean, shared out among its window.
template <class Windows>
void average_backward(const char* operation, const Windows& pool, const Tensor& dy, Tensor& dx) {
  const int64_t channels = pool.channels;
  dispatch_float(dy.dtype(), operation, [&](auto zero) {
    using T = decltype(zero);
    const T* gradient = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(dx.size(0), 1, [&](int64_t image, int64_t) {  // windows overlap within an image only
      T* plane = out + image * pool.height * pool.width * channels;
      std::fill_n(plane, pool.height * pool.width * channels, T{0});
      for (int64_t oy = 0; oy < pool.out_height; ++oy) {
        const PoolRange rows = pool.rows(oy);
        for (int64_t ox = 0; ox < pool.out_width; ++ox) {
          const PoolRange columns = pool.columns(ox);
          const T scale = static_cast<T>(weight(rows, columns));
          const T* __restrict g =
              gradient + ((image * pool.out_height + oy) * pool.out_width + ox) * channels;
          for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
            for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
              T* __restrict pixel = plane + (iy * pool.width + ix) * channels;
              for (int64_t c = 0; c < channels; ++c) pixel[c] += scale * g[c];
            }
          }
        }
      }
    });
  });
}

}  // namespace

void max_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y, Tensor& index) {
  const Pooling pool(x.shape(), y.shape(), options);
  const int64_t channels = pool.channels;
  dispatch_float(x.dtype(), "max_pool2d", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    int32_t* positions = index.data<int32_t>();
    for_windows(pool, x.size(0),
                [&](int64_t image, int64_t output, const PoolRange& rows, const PoolRange& columns) {
                  const T* plane = in + image * pool.height * pool.width * channels;
                  T* best = out + output * channels;
                  int32_t* best_index = positions + output * channels;
                  const int64_t first = rows.begin * pool.width + columns.begin;
                  std::copy_n(plane + first * channels, channels, best);
                  std::fill_n(best_index, channels, static_cast<int32_t>(first));
                  for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
                    for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
                      const int64_t position = iy * pool.width + ix;
                      keep_larger(channels, plane + position * channels, static_cast<int32_t>(position), best,
                                  best_index);
                    }
                  }
                });
  });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& index, Tensor& dx) {
  const int64_t channels = dx.size(3);
  const int64_t plane = dx.size(1) * dx.size(2);
  const int64_t out_plane = dy.size(1) * dy.size(2);
  dispatch_float(dy.dtype(), "max_pool2d_backward", [&](auto zero) {
    using T = decltype(zero);
    const T* gradient = dy.data<T>();
    const int32_t* positions = index.data<int32_t>();
    T* out = dx.data<T>();
    parallel_for(dx.size(0), 1, [&](int64_t image, int64_t) {  // windows overlap within an image only
      T* target = out + image * plane * channels;
      std::fill_n(target, plane * channels, T{0});
      const int64_t first = image * out_plane * channels;
      for (int64_t pixel = 0; pixel < out_plane; ++pixel) {
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t i = first + pixel * channels + c;
          DS_CHECK(positions[i] >= 0 && positions[i] < plane,
                   "[max_pool2d_backward] index {} is outside of an input plane of {} x {}", positions[i],
                   dx.size(1), dx.size(2));
          target[positions[i] * channels + c] += gradient[i];
        }
      }
    });
  });
}

void avg_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y) {
  average("avg_pool2d", Pooling(x.shape(), y.shape(), options), x, y);
}

void avg_pool2d_backward(const Tensor& dy, const Pool2dOptions& options, Tensor& dx) {
  average_backward("avg_pool2d_backward", Pooling(dx.shape(), dy.shape(), options), dy, dx);
}

void adaptive_avg_pool2d(const Tensor& x, Tensor& y) {
  average("adaptive_avg_pool2d", AdaptivePooling(x.shape(), y.shape()), x, y);
}

void adaptive_avg_pool2d_backward(const Tensor& dy, Tensor& dx) {
  average_backward("adaptive_avg_pool2d_backward", AdaptivePooling(dx.shape(), dy.shape()), dy, dx);
}

}  // namespace ds::cpu
