// How the Winograd convolutions cut images into tiles, and where the pixels of a tile lie.
#pragma once

#include <array>

#include "core/cpu/kernels/winograd.h"
#include "core/cpu/prefetch.h"
#include "core/op_options.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {

inline constexpr int64_t kTaps = 9;  // of a 3x3 filter

/// Floats from one position to the next. A transform touches all positions at once: a cache line more
/// than a power of two keeps them out of each other's sets.
constexpr int64_t padded_pitch(int64_t rows, int64_t width) { return rows * width + 16; }

template <class Tile>
const WinogradForward& forward_of(const WinogradKernels& kernels) {
  if constexpr (Tile::kOutput == WinogradTile4::kOutput) {
    return kernels.forward4;
  } else {
    static_assert(Tile::kOutput == WinogradTile2::kOutput);
    return kernels.forward2;
  }
}

/// Images cut into tiles of outputs; tile (0, 0) of an image reads its inputs from (-padding, -padding).
template <class Tile>
struct Tiling {
  Size2d input;
  Size2d output;
  Size2d padding;
  int64_t batch = 0;

  Size2d tiles() const {
    return {chunk_count(output.height, Tile::kOutput), chunk_count(output.width, Tile::kOutput)};
  }
  int64_t count() const { return batch * tiles().height * tiles().width; }
};

/// Pixels of a square of one image, row by row; `outside` stands for those that the image does not have.
template <int kSide, class T>
std::array<T*, kSide * kSide> square(T* image, Size2d size, int64_t channels, Size2d corner, T* outside) {
  std::array<T*, kSide * kSide> pixels;
  const bool whole = corner.height >= 0 && corner.height + kSide <= size.height && corner.width >= 0 &&
                     corner.width + kSide <= size.width;
  for (int64_t i = 0; i < kSide; ++i) {
    const int64_t row = corner.height + i;
    T* first = image + (row * size.width + corner.width) * channels;
    T** of_row = pixels.data() + i * kSide;
    for (int64_t j = 0; j < kSide; ++j) of_row[j] = first + j * channels;
    if (whole) continue;
    const bool row_inside = row >= 0 && row < size.height;
    for (int64_t j = 0; j < kSide; ++j) {
      const int64_t column = corner.width + j;
      if (!row_inside || column < 0 || column >= size.width) of_row[j] = outside;
    }
  }
  return pixels;
}

/// Where a tile lies: its image and the corner of its outputs.
struct TilePlace {
  int64_t image;
  Size2d corner;
};
template <class Tile>
TilePlace place_of(const Tiling<Tile>& tiling, int64_t tile) {
  const Size2d tiles = tiling.tiles();
  const int64_t within = tile % (tiles.height * tiles.width);
  return {.image = tile / (tiles.height * tiles.width),
          .corner = {within / tiles.width * Tile::kOutput, within % tiles.width * Tile::kOutput}};
}

template <class Tile>
std::array<const float*, Tile::kPositions> input_pixels(const Tiling<Tile>& tiling, const float* x,
                                                        int64_t channels, int64_t tile, const float* zeros) {
  const TilePlace place = place_of(tiling, tile);
  const float* image = x + place.image * tiling.input.height * tiling.input.width * channels;
  const Size2d corner{place.corner.height - tiling.padding.height, place.corner.width - tiling.padding.width};
  return square<Tile::kInput>(image, tiling.input, channels, corner, zeros);
}

template <class T, class Tile>
std::array<T*, Tile::kPixels> output_pixels(const Tiling<Tile>& tiling, T* y, int64_t channels, int64_t tile,
                                            T* outside) {
  const TilePlace place = place_of(tiling, tile);
  T* image = y + place.image * tiling.output.height * tiling.output.width * channels;
  return square<Tile::kOutput>(image, tiling.output, channels, place.corner, outside);
}

/// Calls use(tile, pixels_of(tile)) for tiles [begin, end), and asks for the next one's pixels meanwhile:
/// rows of an image are too far apart for the processor to see where the tiles lead, unless each pixel is
/// long. Those pixels are the last of a square, as many as the tile has outputs; the others have been read
/// for the tiles to the left and above.
template <class Tile, class PixelsOf, class Use>
void for_tiles(int64_t begin, int64_t end, int64_t channels, const PixelsOf& pixels_of, const Use& use) {
  constexpr int64_t kLong = 128;
  if (begin >= end) return;
  auto pixels = pixels_of(begin);
  constexpr size_t kSide = pixels.size() == Tile::kPixels ? Tile::kOutput : Tile::kInput;
  for (int64_t t = begin; t < end; ++t) {
    const auto next = pixels_of(std::min(t + 1, end - 1));
    for (size_t i = kSide - Tile::kOutput; i < kSide && channels <= kLong; ++i) {
      for (size_t j = kSide - Tile::kOutput; j < kSide; ++j) prefetch(next[i * kSide + j], channels);
    }
    use(t, pixels);
    pixels = next;
  }
}

inline Size2d image_size(const Tensor& x) { return {x.size(1), x.size(2)}; }

}  // namespace ds::cpu
