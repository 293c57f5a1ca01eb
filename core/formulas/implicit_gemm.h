// Convolutions as products of matrices that are never written down: where in memory the element in row m,
// column n or depth k of each matrix stands. One product a group, channels last:
//
//   forward          y  [pixels of y, O/g]        = x windows [pixels of y, kh kw I/g] * w^T
//   backward data    dx [pixels of x, I/g]        = dy windows [pixels of x, kh kw O/g] * w, turned round
//   backward weight  dw [O/g, kh kw I/g]          = dy^T * x windows, over the pixels of y
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/op_options.h"
#include "core/shape.h"

namespace ds {

/// An offset that is no place in memory: padding.
inline constexpr int64_t kPadding = -1;

struct ConvolutionIndex {
  int64_t images, in_height, in_width, in_channels;
  int64_t out_height, out_width, out_channels;
  int64_t kernel_height, kernel_width;
  Size2d stride, padding, dilation;
  int64_t groups;

  ConvolutionIndex(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options)
      : images(x[0]),
        in_height(x[1]),
        in_width(x[2]),
        in_channels(x[3]),
        out_height(y[1]),
        out_width(y[2]),
        out_channels(y[3]),
        kernel_height(w[1]),
        kernel_width(w[2]),
        stride(options.stride),
        padding(options.padding),
        dilation(options.dilation),
        groups(options.groups) {}

  DS_HOST_DEVICE int64_t taps() const { return kernel_height * kernel_width; }
  DS_HOST_DEVICE int64_t group_inputs() const { return in_channels / groups; }
  DS_HOST_DEVICE int64_t group_outputs() const { return out_channels / groups; }
  DS_HOST_DEVICE int64_t in_pixels() const { return images * in_height * in_width; }
  DS_HOST_DEVICE int64_t out_pixels() const { return images * out_height * out_width; }

  /// Of x: what tap and channel `k` (tap-major) of a group see from a pixel of y, or kPadding.
  DS_HOST_DEVICE int64_t x_offset(int64_t group, int64_t out_pixel, int64_t k) const {
    const int64_t tap = k / group_inputs();
    const int64_t row = out_pixel / out_width % out_height * stride.height +
                        tap / kernel_width * dilation.height - padding.height;
    const int64_t column =
        out_pixel % out_width * stride.width + tap % kernel_width * dilation.width - padding.width;
    if (row < 0 || row >= in_height || column < 0 || column >= in_width) return kPadding;
    const int64_t pixel = (out_pixel / out_width / out_height * in_height + row) * in_width + column;
    return pixel * in_channels + group * group_inputs() + k % group_inputs();
  }
  /// Of dy: the output of a group that sees a pixel of x by tap and output `k` (tap-major), or kPadding.
  DS_HOST_DEVICE int64_t dy_offset(int64_t group, int64_t in_pixel, int64_t k) const {
    const int64_t tap = k / group_outputs();
    const int64_t row =
        in_pixel / in_width % in_height + padding.height - tap / kernel_width * dilation.height;
    const int64_t column = in_pixel % in_width + padding.width - tap % kernel_width * dilation.width;
    if (row < 0 || row % stride.height != 0 || row / stride.height >= out_height) return kPadding;
    if (column < 0 || column % stride.width != 0 || column / stride.width >= out_width) return kPadding;
    const int64_t image = in_pixel / in_width / in_height;
    const int64_t pixel = (image * out_height + row / stride.height) * out_width + column / stride.width;
    return pixel * out_channels + group * group_outputs() + k % group_outputs();
  }
  /// Of w: output and depth (tap-major, then input) within a group.
  DS_HOST_DEVICE int64_t w_offset(int64_t group, int64_t output, int64_t k) const {
    return (group * group_outputs() + output) * taps() * group_inputs() + k;
  }
  /// Of w: input, and depth (tap-major, then output) within a group.
  DS_HOST_DEVICE int64_t w_offset_turned(int64_t group, int64_t input, int64_t k) const {
    return w_offset(group, k % group_outputs(), k / group_outputs() * group_inputs() + input);
  }
};

}  // namespace ds
