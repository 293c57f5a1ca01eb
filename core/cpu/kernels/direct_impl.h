// The source of the direct convolution kernels. Included by one file an instruction set, which defines DS_ISA
// (suffix), DS_LANES, DS_TILE_1 and DS_TILE_2 (largest pixel tile for one and two vectors) before. Includes
// nothing with inline functions: those would be compiled for this instruction set and might be the copy that
// the linker keeps.

#include <cstdint>
#include <utility>

#include "core/cpu/kernels/direct.h"

namespace ds::cpu {
namespace {

constexpr int kLanes = DS_LANES;
using Vector = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

inline Vector load(const float* p) { return *reinterpret_cast<const Vector*>(p); }
inline void store(float* p, Vector v) { *reinterpret_cast<Vector*>(p) = v; }

// Stores the first `count` channels of a panel: whole vectors where they fit, the rest one by one.
template <int kVectors>
inline void store_panel(float* y, const float* panel, int64_t count) {
  if (count == kVectors * kLanes) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(y + v * kLanes, load(panel + v * kLanes));
    return;
  }
  for (int64_t o = 0; o < count; ++o) y[o] = panel[o];
}

template <int kPixels, int kVectors>
void f32_direct_tile(const DirectTile& tile) {
  Vector sum[kPixels][kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const Vector start = tile.bias == nullptr ? Vector{} : load(tile.bias + v * kLanes);
#pragma GCC unroll 28
    for (int p = 0; p < kPixels; ++p) sum[p][v] = start;
  }
  const int64_t pitch = tile.x_pitch;
  const float* w = tile.w;
  for (int64_t t = 0; t < tile.taps; ++t) {
    const float* x = tile.x + tile.tap_offsets[t];
    for (int64_t c = 0; c < tile.channels; ++c, ++x, w += kVectors * kLanes) {
      Vector weight[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) weight[v] = load(w + v * kLanes);
#pragma GCC unroll 28
      for (int p = 0; p < kPixels; ++p) {
        const float value = x[p * pitch];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[p][v] += weight[v] * value;
      }
    }
  }
  // Through a buffer in L1: a partial store in the same loop would make the compiler spill the sums.
  float panel[kPixels][kVectors * kLanes];
#pragma GCC unroll 28
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(&panel[p][v * kLanes], sum[p][v]);
  }
  for (int p = 0; p < kPixels; ++p) store_panel<kVectors>(tile.y + p * tile.y_pitch, panel[p], tile.outputs);
}

template <int kChannels, int kVectors>
void f32_direct_weight_tile(const DirectWeightTile& tile) {
  Vector sum[kChannels][kVectors];
#pragma GCC unroll 16
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[c][v] = load(tile.dw + c * tile.dw_pitch + v * kLanes);
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float* x = tile.x + r * tile.x_row;
    const float* dy = tile.dy + r * tile.dy_row;
    for (int64_t p = 0; p < tile.pixels; ++p, x += tile.x_pitch, dy += tile.dy_pitch) {
      Vector gradient[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) gradient[v] = load(dy + v * kLanes);
#pragma GCC unroll 16
      for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[c][v] += gradient[v] * x[c];
      }
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(tile.dw + c * tile.dw_pitch + v * kLanes, sum[c][v]);
  }
}

template <int kVectors, int kMax, int... kIndex>
constexpr void fill_tiles(DirectKernels& kernels, std::integer_sequence<int, kIndex...>) {
  ((kernels.tile[kVectors - 1][kIndex] =
        kIndex < kMax ? &f32_direct_tile<(kIndex < kMax ? kIndex + 1 : 1), kVectors> : nullptr),
   ...);
}
template <int kVectors, int kMax, int... kIndex>
constexpr void fill_weight_tiles(DirectKernels& kernels, std::integer_sequence<int, kIndex...>) {
  ((kernels.weight_tile[kVectors - 1][kIndex] =
        kIndex < kMax ? &f32_direct_weight_tile<(kIndex < kMax ? kIndex + 1 : 1), kVectors> : nullptr),
   ...);
}

constexpr DirectKernels make_kernels(const char* isa) {
  DirectKernels kernels{isa, kLanes, {DS_TILE_1, DS_TILE_2}, {DS_WEIGHT_TILE_1, DS_WEIGHT_TILE_2}, {}, {}};
  using Pixels = std::make_integer_sequence<int, DirectKernels::kMaxPixels>;
  using Channels = std::make_integer_sequence<int, DirectKernels::kMaxChannels>;
  fill_tiles<1, DS_TILE_1>(kernels, Pixels{});
  fill_tiles<2, DS_TILE_2>(kernels, Pixels{});
  fill_weight_tiles<1, DS_WEIGHT_TILE_1>(kernels, Channels{});
  fill_weight_tiles<2, DS_WEIGHT_TILE_2>(kernels, Channels{});
  return kernels;
}

}  // namespace

#define DS_JOIN_(a, b) a##b
#define DS_JOIN(a, b) DS_JOIN_(a, b)
#define DS_TEXT_(a) #a
#define DS_TEXT(a) DS_TEXT_(a)
constexpr DirectKernels kKernels = make_kernels(DS_TEXT(DS_ISA));
const DirectKernels DS_JOIN(kDirect__, DS_ISA) = kKernels;

}  // namespace ds::cpu
