// The windows of a pooling along one axis: which pixels lie in the window of an output, and which windows a
// pixel lies in. Shared by all devices.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/op_options.h"
#include "core/shape.h"

namespace ds {

/// The part of a window that lies inside the input.
struct PoolRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t counted = 0;  // pixels that an average divides by
};

/// Windows of one size, a stride apart.
struct PoolAxis {
  int64_t input;
  int64_t output;
  int64_t kernel;
  int64_t stride;
  int64_t padding;
  bool count_include_pad;

  /// What counts of a window may be padding, but nothing beyond it.
  DS_HOST_DEVICE PoolRange window(int64_t at) const {
    const int64_t start = at * stride - padding;
    const int64_t end = start + kernel < input ? start + kernel : input;
    const int64_t begin = start > 0 ? start : 0;
    const int64_t whole = input + padding - start < kernel ? input + padding - start : kernel;
    return {begin, end, count_include_pad ? whole : end - begin};
  }
  /// The outputs [begin, end) in whose windows a pixel lies.
  DS_HOST_DEVICE PoolRange outputs_of(int64_t pixel) const {
    const int64_t after = pixel + padding - kernel;  // windows that start at or before it have ended
    const int64_t begin = after < 0 ? 0 : after / stride + 1;
    const int64_t end = (pixel + padding) / stride + 1;
    return {begin, end < output ? end : output, 0};
  }
};

/// The axes of a pooling of x [N,H,W,C] into y.
inline PoolAxis pool_rows(const Shape& x, const Shape& y, const Pool2dOptions& options) {
  return {x[1],
          y[1],
          options.kernel.height,
          options.stride.height,
          options.padding.height,
          options.count_include_pad};
}
inline PoolAxis pool_columns(const Shape& x, const Shape& y, const Pool2dOptions& options) {
  return {x[2],
          y[2],
          options.kernel.width,
          options.stride.width,
          options.padding.width,
          options.count_include_pad};
}

/// Windows that share the input out among the outputs; neighbours overlap where they cannot be equal.
struct AdaptivePoolAxis {
  int64_t input;
  int64_t output;

  DS_HOST_DEVICE PoolRange window(int64_t at) const {
    const int64_t begin = at * input / output;
    const int64_t end = ((at + 1) * input + output - 1) / output;
    return {begin, end, end - begin};
  }
  DS_HOST_DEVICE PoolRange outputs_of(int64_t pixel) const {
    // at * input / output <= pixel < (at + 1) * input / output, rounded outwards
    const int64_t begin = pixel * output / input;
    const int64_t end = ((pixel + 1) * output + input - 1) / input;
    return {begin, end < output ? end : output, 0};
  }
};

}  // namespace ds
