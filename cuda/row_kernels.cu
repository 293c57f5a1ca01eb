#include "cuda/row_kernels.h"

#include <cstdint>

#include "cuda/launch.h"
#include "cuda/ptx.cuh"

namespace ds::cuda {
namespace {

using infer::cuda::FilterGeometry;
using infer::cuda::window_origin;
using infer::cuda::WindowOrigin;

constexpr int kThreads = 256;

/// A pixel of y and a channel, the first of as many as a thread computes.
struct Place {
  int pixel;
  int channel;
};

/// Every `group` neighbouring channels take body(place, values), and those that only fill up are 0.
template <int group, class Body>
__global__ void __launch_bounds__(kThreads)
    map_kernel(const __grid_constant__ DeviceValue y, const __grid_constant__ Body body) {
  start_next_kernel();
  wait_for_previous_kernel();
  const int index = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int groups = y.stored / group;
  const Place place{index / groups, index % groups * group};
  if (place.pixel >= y.images * y.height * y.width) return;
  int32_t values[8] = {};
  if (place.channel < y.channels) body(place, values);
#pragma unroll
  for (int i = 0; i < group; ++i) {
    if (place.channel + i >= y.channels) values[i] = 0;
  }
  const int64_t first = static_cast<int64_t>(place.pixel) * y.stored + place.channel;
  if constexpr (group == 8) {
    store_eight(y.data, y.type, first, values);
  } else {
#pragma unroll
    for (int i = 0; i < group; ++i) store_value(y.data, y.type, first + i, values[i]);
  }
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

template <int group = 8, class Body>
void map(const DeviceValue& y, const Body& body, cudaStream_t stream) {
  const int64_t threads = static_cast<int64_t>(y.images) * y.height * y.width * (y.stored / group);
  launch(map_kernel<group, Body>, {.grid = blocks_for(threads), .threads = kThreads}, stream, y, body);
}

/// Calls body with a 0 of the type of stored values.
template <class Body>
void with_type(DType type, const Body& body) {
  switch (type) {
    case DType::kU8: body(uint8_t{}); break;
    case DType::kI8: body(int8_t{}); break;
    default: body(int16_t{}); break;
  }
}

/// Eight channels of a pixel of x.
__device__ void load_place(const DeviceValue& x, int pixel, int channel, int32_t (&values)[8]) {
  load_eight(x.data, x.type, static_cast<int64_t>(pixel) * x.stored + channel, values);
}

__device__ void rescale_eight(const RescaleArguments& r, const int64_t (&sums)[8], const Place& place,
                              int32_t (&values)[8]) {
  for (int i = 0; i < 8; ++i) {
    const int channel = place.channel + i;
    if (channel < r.channels) values[i] = rescale_value(r, sums[i], place.pixel, channel);
  }
}

/// body(pixel) for those of x in the window of a pixel of y.
template <class Body>
__device__ void for_window(const FilterGeometry& g, int pixel, const Body& body) {
  const WindowOrigin window = window_origin(g, pixel);
  for (int y = max(0, -window.y); y < min(g.kernel_height, g.in_height - window.y); ++y) {
    // Several loads on their way at a time.
#pragma unroll 8
    for (int x = max(0, -window.x); x < min(g.kernel_width, g.in_width - window.x); ++x) {
      body(window.image + (window.y + y) * g.in_width + window.x + x);
    }
  }
}

/// Pixels as they come, whose channels stand anywhere.
struct Input {
  DeviceValue x;
  RescaleArguments rescale;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    for (int i = 0; i < 8 && place.channel + i < x.channels; ++i) {
      const int64_t index = static_cast<int64_t>(place.pixel) * x.stored + place.channel + i;
      values[i] = rescale_value(rescale, load_value(x.data, x.type, index), place.pixel, place.channel + i);
    }
  }
};

struct Scale {
  DeviceValue x;
  RescaleArguments rescale;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    int32_t loaded[8];
    load_place(x, place.pixel, place.channel, loaded);
    int64_t sums[8];
    for (int i = 0; i < 8; ++i) sums[i] = loaded[i];
    rescale_eight(rescale, sums, place, values);
  }
};

template <class T>
struct MaxPool {
  DeviceValue x;
  FilterGeometry window;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    for (int i = 0; i < 8; ++i) values[i] = INT32_MIN;
    for_window(window, place.pixel, [&](int pixel) {
      int32_t loaded[8];
      load_eight<T>(x.data, static_cast<int64_t>(pixel) * x.stored + place.channel, loaded);
      for (int i = 0; i < 8; ++i) values[i] = max(values[i], loaded[i]);
    });
  }
};

template <class T>
struct AveragePool {
  DeviceValue x;
  FilterGeometry window;
  RescaleArguments rescale;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    int64_t sums[8] = {};
    for_window(window, place.pixel, [&](int pixel) {
      int32_t loaded[8];
      load_eight<T>(x.data, static_cast<int64_t>(pixel) * x.stored + place.channel, loaded);
      for (int i = 0; i < 8; ++i) sums[i] += loaded[i];
    });
    rescale_eight(rescale, sums, place, values);
  }
};

struct Add {
  DeviceValue a;
  DeviceValue b;
  AddArguments add;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    int32_t of_a[8];
    int32_t of_b[8];
    load_place(a, place.pixel, place.channel, of_a);
    load_place(b, place.pixel, place.channel, of_b);
    const int64_t half = add.shift > 0 ? int64_t{1} << (add.shift - 1) : 0;
    for (int i = 0; i < 8; ++i) {
      const int64_t sum = (int64_t{of_a[i]} << add.shift_a) + (int64_t{of_b[i]} << add.shift_b);
      values[i] =
          static_cast<int32_t>(min(max((sum + half) >> add.shift, int64_t{add.low}), int64_t{add.high}));
    }
  }
};

struct Clamp {
  DeviceValue x;
  int32_t low;
  int32_t high;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    load_place(x, place.pixel, place.channel, values);
    for (int i = 0; i < 8; ++i) values[i] = min(max(values[i], low), high);
  }
};

struct Flatten {
  DeviceValue x;

  __device__ void operator()(const Place& place, int32_t (&values)[8]) const {
    const int count = x.height * x.width * x.channels;
    for (int i = 0; i < 8 && place.channel + i < count; ++i) {
      const int channel = place.channel + i;
      const int64_t pixel = static_cast<int64_t>(place.pixel) * x.height * x.width + channel / x.channels;
      values[i] = load_value(x.data, x.type, pixel * x.stored + channel % x.channels);
    }
  }
};

__global__ void __launch_bounds__(kThreads)
    copy_kernel(const __grid_constant__ DeviceValue x, const __grid_constant__ DeviceValue y,
                const __grid_constant__ CopyArguments copy) {
  start_next_kernel();
  wait_for_previous_kernel();
  const int channels = copy.end - copy.begin;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(y.images) * y.height * y.width * channels) return;
  const int64_t pixel = i / channels;
  const int channel = copy.begin + static_cast<int>(i % channels);
  const int from = channel - copy.first;
  int32_t value = 0;
  if (from >= 0 && from < x.channels) {
    const int64_t row = pixel / y.width;  // of all images
    const int64_t in_row = row / y.height * x.height + row % y.height * copy.stride_height;
    value = load_value(x.data, x.type,
                       (in_row * x.width + pixel % y.width * copy.stride_width) * x.stored + from);
  }
  store_value(y.data, y.type, pixel * y.stored + channel, value);
}

template <class Sum>
__global__ void __launch_bounds__(kThreads)
    shift_filter_kernel(const __grid_constant__ DeviceValue x, const __grid_constant__ DeviceValue y,
                        const __grid_constant__ ShiftFilterArguments filter) {
  start_next_kernel();
  wait_for_previous_kernel();
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const FilterGeometry& g = filter.geometry;
  const int64_t pixel = index / y.stored;
  const int channel = static_cast<int>(index % y.stored);
  if (pixel >= g.rows()) return;
  int32_t value = 0;
  if (channel < y.channels) {
    const WindowOrigin window = window_origin(g, static_cast<int>(pixel));
    const int first = channel / filter.group_outputs * filter.group_inputs;
    const uint8_t* code = filter.codes + channel;
    Sum sum = 0;
    for (int tap_y = 0; tap_y < g.kernel_height; ++tap_y) {
      const int in_y = window.y + tap_y * g.dilation_height;
      for (int tap_x = 0; tap_x < g.kernel_width; ++tap_x) {
        const int in_x = window.x + tap_x * g.dilation_width;
        if (in_y < 0 || in_y >= g.in_height || in_x < 0 || in_x >= g.in_width) {
          code += static_cast<int64_t>(filter.group_inputs) * filter.outputs;
          continue;
        }
        const int64_t source =
            (window.image + static_cast<int64_t>(in_y) * g.in_width + in_x) * g.channels + first;
        for (int i = 0; i < filter.group_inputs; ++i, code += filter.outputs) {
          const int c = *code;
          const Sum shifted = Sum{load_value(x.data, x.type, source + i)} << (((c & 0x7F) - 1) & 31);
          const Sum negative = -Sum{c >> 7};
          sum += (c & 0x7F) == 0 ? Sum{0} : (shifted ^ negative) - negative;
        }
      }
    }
    value = rescale_value(filter.rescale, sum, pixel, channel);
  }
  store_value(y.data, y.type, index, value);
}

}  // namespace

void run_input(const DeviceValue& x, const DeviceValue& y, const RescaleArguments& rescale,
               cudaStream_t stream) {
  if (y.stored % 8 == 0) {
    map(y, Input{x, rescale}, stream);
  } else {
    map<4>(y, Input{x, rescale}, stream);
  }
}

void run_scale(const DeviceValue& x, const DeviceValue& y, const RescaleArguments& rescale,
               cudaStream_t stream) {
  map(y, Scale{x, rescale}, stream);
}

void run_max_pool(const DeviceValue& x, const DeviceValue& y, const FilterGeometry& window,
                  cudaStream_t stream) {
  with_type(x.type, [&](auto zero) { map(y, MaxPool<decltype(zero)>{x, window}, stream); });
}

void run_average_pool(const DeviceValue& x, const DeviceValue& y, const FilterGeometry& window,
                      const RescaleArguments& rescale, cudaStream_t stream) {
  with_type(x.type, [&](auto zero) { map(y, AveragePool<decltype(zero)>{x, window, rescale}, stream); });
}

void run_add(const DeviceValue& a, const DeviceValue& b, const DeviceValue& y, const AddArguments& add,
             cudaStream_t stream) {
  map(y, Add{a, b, add}, stream);
}

void run_clamp(const DeviceValue& x, const DeviceValue& y, int32_t low, int32_t high, cudaStream_t stream) {
  map(y, Clamp{x, low, high}, stream);
}

void run_copy(const DeviceValue& x, const DeviceValue& y, const CopyArguments& copy, cudaStream_t stream) {
  const int64_t values = static_cast<int64_t>(y.images) * y.height * y.width * (copy.end - copy.begin);
  launch(copy_kernel, {.grid = blocks_for(values), .threads = kThreads}, stream, x, y, copy);
}

void run_flatten(const DeviceValue& x, const DeviceValue& y, cudaStream_t stream) {
  map(y, Flatten{x}, stream);
}

void run_shift_filter(const DeviceValue& x, const DeviceValue& y, const ShiftFilterArguments& filter,
                      cudaStream_t stream) {
  const int64_t values = static_cast<int64_t>(y.images) * y.height * y.width * y.stored;
  launch(filter.rescale.wide ? shift_filter_kernel<int64_t> : shift_filter_kernel<int32_t>,
         {.grid = blocks_for(values), .threads = kThreads}, stream, x, y, filter);
}

}  // namespace ds::cuda
