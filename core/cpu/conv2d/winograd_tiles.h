// How the Winograd convolutions cut images into tiles of 4x4 outputs, and where the pixels of a tile lie.
#pragma once

#include <array>

#include "core/cpu/kernels/winograd.h"
#include "core/op_options.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {

inline constexpr int64_t kTaps = 9;  // of a 3x3 filter

/// Floats from one of the 36 positions to the next. A transform touches all 36 at once: a cache line more
/// than a power of two keeps them out of each other's sets.
constexpr int64_t padded_pitch(int64_t rows, int64_t width) { return rows * width + 16; }

/// Images cut into tiles of 4x4 outputs; tile (0, 0) of an image reads its inputs from (-padding, -padding).
struct Tiling {
  Size2d input;
  Size2d output;
  Size2d padding;
  int64_t batch = 0;

  Size2d tiles() const {
    return {chunk_count(output.height, kWinogradOutput), chunk_count(output.width, kWinogradOutput)};
  }
  int64_t count() const { return batch * tiles().height * tiles().width; }
};

/// Pixels of a square of one image, row by row; `outside` stands for those that the image does not have.
template <int kSide, class T>
std::array<T*, kSide * kSide> square(T* image, Size2d size, int64_t channels, Size2d corner, T* outside) {
  std::array<T*, kSide * kSide> pixels;
  for (int64_t i = 0; i < kSide; ++i) {
    const int64_t row = corner.height + i;
    for (int64_t j = 0; j < kSide; ++j) {
      const int64_t column = corner.width + j;
      const bool inside = row >= 0 && row < size.height && column >= 0 && column < size.width;
      pixels[static_cast<size_t>(i * kSide + j)] =
          inside ? image + (row * size.width + column) * channels : outside;
    }
  }
  return pixels;
}

/// Where a tile lies: its image and the corner of its outputs.
struct TilePlace {
  int64_t image;
  Size2d corner;
};
inline TilePlace place_of(const Tiling& tiling, int64_t tile) {
  const Size2d tiles = tiling.tiles();
  const int64_t within = tile % (tiles.height * tiles.width);
  return {.image = tile / (tiles.height * tiles.width),
          .corner = {within / tiles.width * kWinogradOutput, within % tiles.width * kWinogradOutput}};
}

inline std::array<const float*, kWinogradPositions> input_pixels(const Tiling& tiling, const float* x,
                                                                 int64_t channels, int64_t tile,
                                                                 const float* zeros) {
  const TilePlace place = place_of(tiling, tile);
  const float* image = x + place.image * tiling.input.height * tiling.input.width * channels;
  const Size2d corner{place.corner.height - tiling.padding.height, place.corner.width - tiling.padding.width};
  return square<kWinogradInput>(image, tiling.input, channels, corner, zeros);
}

template <class T>
std::array<T*, kWinogradPixels> output_pixels(const Tiling& tiling, T* y, int64_t channels, int64_t tile,
                                              T* outside) {
  const TilePlace place = place_of(tiling, tile);
  T* image = y + place.image * tiling.output.height * tiling.output.width * channels;
  return square<kWinogradOutput>(image, tiling.output, channels, place.corner, outside);
}

inline Size2d image_size(const Tensor& x) { return {x.size(1), x.size(2)}; }

}  // namespace ds::cpu
