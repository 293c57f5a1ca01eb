// Micro-kernels of integer convolutions and linear layers: sums of shifted activations, for a tile of pixels
// and a panel of output channels. One source, compiled once per instruction set.
//
// A run is a stretch of neighbouring input values that a window reads (the channels of one tap, or of a row
// of taps). Values are taken in words: four u8, two i16, or one i16 for the kernels that multiply nothing.
// Strides, dilations and padding are expressed by runs and pitches: the kernels know no convolution, and no
// threads or memory either.
#pragma once

#include <cstdint>

#include "infer/cpu/kernels/rows.h"

namespace ds::infer {

/// Codes of the u8 kernels, a nibble each: a sign bit above m; the weight is 0 for m = 0, +-2^(m-1)
/// otherwise.
inline constexpr int kLargestNibbleWeight = 64;

/// Codes of the word kernels where they are coded: a sign bit above m, the weight as above, at most
/// kLargestWordWeight.
inline constexpr int kLargestWordWeight = 1 << 14;
inline constexpr int kNegativeWord = 16;

/// Weights of the shift kernels: q << shift, negated where the flag is set; 32 is a shift that leaves
/// nothing.
inline constexpr int kNegativeShift = 128;
inline constexpr int kShiftOfZero = 32;

struct PackedRun {
  int64_t offset;    // bytes from the pixel's input to the first word; a multiple of nothing
  int64_t words;     // the last one may reach beyond the run: there the weights are 0
  int64_t weights;   // bytes from the panel's first weight
  bool skips_first;  // the tile's first pixel, or its last, reads padding here
  bool skips_last;
};

/// sums[p][o] = start[o] + sum over runs r, values i of x[p * x_pitch + offset_r + i] w[r][i][o], in 32 bits.
struct PackedTile {
  const uint8_t* x = nullptr;  // the first pixel's input
  int64_t x_pitch = 0;         // bytes between neighbouring output pixels' inputs
  const PackedRun* runs = nullptr;
  int64_t run_count = 0;
  /// u8: [words][vectors][lanes][4] weights or, where byte_codes is set, bytes that hold the nibbles of two
  /// vectors that follow each other in that order, the first one's below. (Panels of one vector have an even
  /// number of words, two of which share bytes.) crumbs: [words][lanes][4] bytes, from the low bits on of
  /// vectors 0 to 3. i16: [words][vectors][lanes][2] weights or, where word_codes is set, codes. shift:
  /// [words][vectors][lanes] bytes, the shift and kNegativeShift.
  const uint8_t* w = nullptr;
  const int8_t* crumb_weights = nullptr;  // [4], by crumb
  const int32_t* start = nullptr;         // [vectors * lanes], or null for zeros
  int32_t* sums = nullptr;                // [pixels][vectors * lanes]
  int expansion = 1;                      // bytes of an unpacked weight for each of the packed one
};

using PackedTileKernel = void (*)(const PackedTile&);

/// Tiles of as many pixels, one after the other from the given one on, whose sums become u8 or i8 values
/// without a way through memory, as RescaleKernel says. For 32 bits, no shortcut; neither tile's sums are
/// looked at. Parameters are read, with any value, for all outputs of a panel. x and y are moved behind the
/// last tile: to copy both tiles took up to a tenth of layers of 10 us.
using PackedValuesKernel = void (*)(PackedTile&, RescaleTile&, int64_t tiles);

/// Weights as unpacked kernels read them, from the first `bytes` of tile.w: as u8 and i16 are without codes.
using UnpackKernel = void (*)(const PackedTile& tile, int64_t bytes, uint8_t* to);
struct Unpacking {
  UnpackKernel kernel = nullptr;
  int expansion = 1;
};

/// The kernels of one instruction set.
struct PackedKernels {
  static constexpr int kMaxPixels = 14;
  static constexpr int kMaxPanel = 64;  // outputs
  static constexpr int kMaxTile = 448;  // pixels times outputs
  static constexpr int kShapes = 3;     // panels of 2, of 4 and of 1 vectors
  int lanes;                            // i32 sums in a vector
  int vectors[kShapes];
  int max_pixels[kShapes];
  struct DotProducts {
    PackedTileKernel u8[kShapes][kMaxPixels];              // by pixels - 1
    PackedValuesKernel u8_values[kShapes][2][kMaxPixels];  // to u8 and to i8; null where none
    PackedTileKernel crumbs[kMaxPixels];  // u8 values, panels of 4 vectors; null without byte_codes
    PackedTileKernel i16[kShapes][kMaxPixels];
  };
  /// The same of unpacked weights, where a tile's decoding takes time from its products; null elsewhere.
  struct Unpacked {
    const DotProducts* dots = nullptr;
    Unpacking u8 = {};
    Unpacking crumbs = {};
    Unpacking i16 = {};
  };
  DotProducts dots;
  bool byte_codes;  // u8 weights are nibbles
  bool word_codes;  // i16 weights are codes
  Unpacked unpacked;
  int max_shift_pixels;
  PackedTileKernel shift[kMaxPixels];  // panels of 2 vectors
};

extern const PackedKernels kPacked__avx512vbmi;
extern const PackedKernels kPacked__avx512vnni;
extern const PackedKernels kPacked__avx2;
extern const PackedKernels kPacked__generic;

}  // namespace ds::infer
