// Micro-kernels of depthwise convolutions, NHWC, one source compiled once per instruction set.
//
// Every channel has a filter of its own, so that a vector of channels is a vector of sums. The kernels work
// on output pixels that see the same taps, all of them inside the image, so that there is no border to copy:
// on a part of a row, and, of weight gradients, on a rectangle. Two others know the border: filters three
// wide slide over a part of a row, or over whole rows, and what is loaded serves all three taps; beyond an
// edge of the image they see nothing.
#pragma once

#include <cstdint>

namespace ds::cpu {

/// y[p][c] = bias[c] + sum over taps t of x[start + offset_t + p * x_pitch + c] * w[weight_t + c], for a tile
/// of pixels p of one row and all channels c.
struct DepthwiseTile {
  const float* x;
  int64_t start;               // floats from x to the first pixel's input at the filter's origin
  int64_t x_pitch;             // floats between neighbouring output pixels' inputs
  const int64_t* tap_offsets;  // floats
  const int64_t* tap_weights;  // floats from w
  int64_t taps;
  const float* w;     // [filter position][channels]
  const float* bias;  // [channels], or null for zero
  float* y;
  int64_t y_pitch;
  int64_t channels;
  bool streams = false;  // y past the caches: aligned, and channels are whole vectors
};

/// dw[weight_t + c] += sum over images n, rows r, pixels p, for some taps t, of
///   x[start + offset_t + n * x_image + r * x_row + p * x_pitch + c]
///   * dy[n * dy_image + r * dy_row + p * dy_pitch + c].
struct DepthwiseWeightTile {
  const float* x;
  int64_t start;               // floats from x to the first pixel's input at the filter's origin
  int64_t x_image;             // floats between images
  int64_t x_row;               // between the inputs of output pixels of neighbouring rows
  int64_t x_pitch;             // and of one row
  const int64_t* tap_offsets;  // floats
  const int64_t* tap_weights;  // floats from dw
  const float* dy;             // the first pixel's gradient
  int64_t dy_image;
  int64_t dy_row;
  int64_t dy_pitch;
  int64_t images;
  int64_t rows;
  int64_t pixels;
  float* dw;  // [filter position][channels]
  int64_t channels;
};

/// The kernels of one instruction set. Tables are indexed by size - 1.
struct DepthwiseKernels {
  static constexpr int kMaxPixels = 8;
  static constexpr int kMaxTaps = 9;
  void (*tile[kMaxPixels])(const DepthwiseTile&);
  /// Stride 1 or 2; taps are three neighbours for each row of the filter. The first pixel has an input to its
  /// left or not, the last one to its right: [stride - 1][pixels - 1][left][right].
  void (*sliding_tile[2][kMaxPixels][2][2])(const DepthwiseTile&);
  void (*weight_tile[kMaxTaps])(const DepthwiseWeightTile&);
  /// Stride 1; three neighbouring taps for each row of the filter, of which the left one does not see the
  /// first pixel of a row and the right one not the last: [rows of the filter - 1]. At least two pixels.
  void (*sliding_weight_tile[kMaxTaps / 3])(const DepthwiseWeightTile&);
};

extern const DepthwiseKernels kDepthwise__avx512;
extern const DepthwiseKernels kDepthwise__avx2;
extern const DepthwiseKernels kDepthwise__generic;

}  // namespace ds::cpu
