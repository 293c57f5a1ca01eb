// Micro-kernels of the native float convolution: direct, NHWC, one source compiled once per instruction set.
//
// A tile works on a list of taps. A tap is one position of the filter, or several whose inputs are
// neighbours: the offset of its input from that of the filter's origin. Strides, dilations, padding (taps
// left out, or a zero border in a scratch copy) and the phases of a strided backward pass are all expressed
// by taps and pitches, so that the kernels know none of them. They know no tensors, threads or memory either.
//
// The kernels of bf16 multiply pairs of bf16 values and add to f32 sums. To them x, dy and w are words of 32
// bits, two values each: of neighbouring channels in a tile, of neighbouring rows in a weight tile. All
// counts, offsets and pitches are in words then, and the first value of a pair is in the lower half.
#pragma once

#include <cstdint>

namespace ds::cpu {

/// Most vectors of output channels in a tile; packed weights come in panels of up to this many vectors.
inline constexpr int kDirectMaxVectors = 2;

struct DirectTap {
  int64_t x;  // floats from the tile's x
  int64_t w;  // rows from the tile's w
};

/// y[p][o] = bias[o] + sum over taps t, channels c of x[t.x + p * x_pitch + c] * w[t.w + c][o], for a tile of
/// pixels p and one panel of output channels o.
struct DirectTile {
  const float* x;   // the first pixel's input at the filter's origin
  int64_t x_pitch;  // floats between neighbouring output pixels' inputs
  const DirectTap* tap;
  int64_t taps;
  int64_t channels;      // of each tap
  const float* w;        // packed rows [vectors * lanes], one a channel of a tap
  const float* bias;     // [vectors * lanes], or null for zero
  float* y;              // the first pixel's output channels of this panel
  int64_t y_pitch;       // floats between neighbouring output pixels
  int64_t outputs;       // channels to store, at most vectors * lanes
  bool streams = false;  // y past the caches: aligned, and all lanes are stored
  /// What is needed next, or x where that is not known: a cache line is asked for with each channel of a tap.
  const float* ahead = nullptr;
  int64_t ahead_step = 0;  // floats from one such line to the next; 0: always the same
};

/// dw[c][o] += sum over rows r, pixels p of x[r * x_row + p * x_pitch + c] * dy[r * dy_row + p * dy_pitch +
/// o], for a tile of input channels c and one panel of output channels o.
struct DirectWeightTile {
  const float* x;
  int64_t x_row;
  int64_t x_pitch;
  const float* dy;
  int64_t dy_row;
  int64_t dy_pitch;
  int64_t rows;
  int64_t pixels;
  float* dw;  // [channels of the tile][dw_pitch]
  int64_t dw_pitch;
};

/// The kernels of one instruction set. Tables are indexed by size - 1.
struct DirectKernels {
  static constexpr int kMaxPixels = 16;
  static constexpr int kMaxChannels = 16;
  int lanes;                            // floats in a vector
  int values;                           // of x and w in a word: 1, or 2 of bf16
  int max_pixels[kDirectMaxVectors];    // largest tile for 1, 2 vectors
  int max_channels[kDirectMaxVectors];  // largest weight tile for 1, 2 vectors
  void (*tile[kDirectMaxVectors][kMaxPixels])(const DirectTile&);
  void (*weight_tile[kDirectMaxVectors][kMaxChannels])(const DirectWeightTile&);
  /// Words from 2 * words neighbouring floats, rounded to nearest, ties to even. Null for f32.
  void (*pair_neighbours)(const float* source, int64_t words, float* target);
  /// Words from two rows of floats, `count` a multiple of the lanes; the target may be the even row. Null for
  /// f32.
  void (*pair_rows)(const float* even, const float* odd, int64_t count, float* target);
  /// The same from rows of bf16 values, for any count. Null for f32.
  void (*pair_half_rows)(const uint16_t* even, const uint16_t* odd, int64_t count, float* target);
};

extern const DirectKernels kDirect__avx512_bf16;
extern const DirectKernels kDirect__avx512_bf16_by_f32;
extern const DirectKernels kDirect__avx2_bf16_by_f32;
extern const DirectKernels kDirect__generic_bf16_by_f32;
extern const DirectKernels kDirect__avx512;
extern const DirectKernels kDirect__avx2;
extern const DirectKernels kDirect__generic;

}  // namespace ds::cpu
