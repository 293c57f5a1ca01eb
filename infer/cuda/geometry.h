// Where the values of a convolution or linear layer stand on the device, as a product of two matrices:
//
//     sums [images out_height out_width][outputs] = windows [..][depth] weights [depth][outputs]
//
// Row r of the windows is an output pixel; column d is tap d / channels, channel d % channels. A pixel has
// `channels` channels in memory, the last of which may be zeros that only fill it up.
#pragma once

#include <cstdint>

#include "infer/cuda/host_device.h"

namespace ds::infer::cuda {

struct FilterGeometry {
  int images = 1;
  int in_height = 1;
  int in_width = 1;
  int channels = 1;  // of a pixel, as it stands in memory
  int out_height = 1;
  int out_width = 1;
  int kernel_height = 1;
  int kernel_width = 1;
  int stride_height = 1;
  int stride_width = 1;
  int padding_height = 0;
  int padding_width = 0;
  int dilation_height = 1;
  int dilation_width = 1;

  DS_HOST_DEVICE int rows() const { return images * out_height * out_width; }
  DS_HOST_DEVICE int depth() const { return kernel_height * kernel_width * channels; }
};

/// The window of a row: where its first tap lies, which may be outside of the image.
struct WindowOrigin {
  int image = 0;  // pixels before the image
  int y = 0;
  int x = 0;
};

DS_HOST_DEVICE inline WindowOrigin window_origin(const FilterGeometry& g, int row) {
  const int pixels = g.out_height * g.out_width;
  const int image = row / pixels;
  const int pixel = row % pixels;
  const int y = pixel / g.out_width;
  return {image * g.in_height * g.in_width, y * g.stride_height - g.padding_height,
          (pixel - y * g.out_width) * g.stride_width - g.padding_width};
}

/// A row of windows ready to be read: values before its first tap (which may be negative), and a bit for each
/// tap that meets the image, of up to kMaskedTaps.
struct WindowRow {
  int first = 0;
  uint64_t taps = 0;
};
inline constexpr int kMaskedTaps = 64;

DS_HOST_DEVICE inline WindowRow window_row(const FilterGeometry& g, int row) {
  const WindowOrigin window = window_origin(g, row);
  WindowRow result{.first = (window.image + window.y * g.in_width + window.x) * g.channels, .taps = 0};
  uint64_t columns = 0;
  for (int x = 0; x < g.kernel_width; ++x) {
    const int in_x = window.x + x * g.dilation_width;
    columns |= static_cast<uint64_t>(in_x >= 0 && in_x < g.in_width) << x;
  }
  for (int y = 0; y < g.kernel_height; ++y) {
    const int in_y = window.y + y * g.dilation_height;
    if (in_y >= 0 && in_y < g.in_height) result.taps |= columns << (y * g.kernel_width);
  }
  return result;
}

/// A position in the depth, the same in all windows; moved along without a division.
struct TapCursor {
  int tap = 0;
  int x = 0;      // the tap's column
  int pixel = 0;  // values from the first tap to this one
  int channel = 0;

  DS_HOST_DEVICE TapCursor(const FilterGeometry& g, int depth)
      : tap(depth / g.channels), channel(depth % g.channels) {
    const int y = tap / g.kernel_width;
    x = tap - y * g.kernel_width;
    pixel = (y * g.dilation_height * g.in_width + x * g.dilation_width) * g.channels;
  }

  DS_HOST_DEVICE void advance(const FilterGeometry& g, int channels) {
    channel += channels;
    while (channel >= g.channels) {
      channel -= g.channels;
      ++tap;
      pixel += g.dilation_width * g.channels;
      if (++x == g.kernel_width) {
        x = 0;
        pixel += (g.dilation_height * g.in_width - g.kernel_width * g.dilation_width) * g.channels;
      }
    }
  }

  /// Whether the window meets the image here, and the values before the one that it meets.
  DS_HOST_DEVICE bool inside(const WindowRow& row) const {
    return tap < kMaskedTaps && (row.taps >> tap & 1) != 0;
  }
  DS_HOST_DEVICE int source(const WindowRow& row) const { return row.first + pixel + channel; }
};

}  // namespace ds::infer::cuda
