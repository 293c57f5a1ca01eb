// Convolutions and linear layers of integer nets on tensor cores: an implicit product of matrices
// (infer/cuda/geometry.h) of bytes, with weights that stay packed until they are in registers.
#pragma once

#include <cuda_runtime.h>

#include "cuda/rescale.cuh"
#include "infer/cuda/fragment.h"
#include "infer/cuda/fragments.h"
#include "infer/cuda/geometry.h"
#include "infer/cuda/patch.h"

namespace ds::cuda {

struct FilterArguments {
  infer::cuda::FilterGeometry geometry;
  infer::cuda::DecodeTables tables;
  RescaleArguments rescale;
  const void* input = nullptr;
  void* output = nullptr;
  DType output_type = DType::kU8;
  int output_channels = 0;  // of a pixel in memory
  const uint32_t* weights = nullptr;
  int depth_blocks = 0;
  const int32_t* correction_starts = nullptr;  // null: there are none
  const infer::cuda::Correction* corrections = nullptr;
  bool wide_sums = false;        // sums need 64 bits
  void* partial_sums = nullptr;  // [rows][outputs], zeros between runs, where the depth is split
  uint32_t* tickets = nullptr;   // a counter a tile, zero between runs
  int outputs = 0;               // filled up
};

/// Tiles of sums of a thread block, where weights and values are bytes; with two bytes the high ones have
/// half the rows.
enum class FilterTile : uint8_t {
  kLarge,   // 128 x 128
  kTall,    // 128 x 64
  kMedium,  // 64 x 64
  kFlat,    // 16 x 128: few rows
};
inline constexpr FilterTile kFilterTiles[] = {FilterTile::kLarge, FilterTile::kTall, FilterTile::kMedium,
                                              FilterTile::kFlat};

/// Warps of a tile, each with 16 `rows` x 32 sums.
struct TileShape {
  int warps_down = 2;
  int warps_across = 2;
  int rows = 2;

  constexpr int tile_rows() const { return 16 * rows * warps_down; }
  constexpr int tile_columns() const { return infer::cuda::kBlockOutputs * warps_across; }
};

/// `two_bytes`: whether weights or values have two.
constexpr TileShape tile_shape(FilterTile tile, bool two_bytes) {
  switch (tile) {
    case FilterTile::kLarge: return {.warps_down = 2, .warps_across = 4, .rows = two_bytes ? 2 : 4};
    case FilterTile::kTall: return {.warps_down = 2, .warps_across = 2, .rows = two_bytes ? 2 : 4};
    case FilterTile::kMedium: return {};
    case FilterTile::kFlat: return {.warps_down = 1, .warps_across = 4, .rows = 1};
  }
  return {};
}
constexpr bool has_two_bytes(int bits, DType input) { return bits == 5 || input == DType::kI16; }

/// All tiles' columns and depth are divisors of these.
inline constexpr int kOutputGranularity = 128;
inline constexpr int kDepthGranularity = 64;

/// One way to run a layer.
struct FilterChoice {
  FilterTile tile = FilterTile::kMedium;
  int splits = 1;  // of the depth, by as many thread blocks, whose sums are added in memory
};

/// Starts the layer. `bits`: of its weights; `input`: the type of its values.
void run_filter(const FilterArguments& arguments, int bits, DType input, const FilterChoice& choice,
                cudaStream_t stream);

/// Another way for layers that take patches (infer/cuda/patch.h). Their weights are packed with rows of
/// kPatchTaps taps.
using infer::cuda::kPatchColumns;
using infer::cuda::kPatchRows;
using infer::cuda::kPatchTaps;
using infer::cuda::takes_patches;
void run_patch(const FilterArguments& arguments, int bits, cudaStream_t stream);

/// Another way for up to kFewRows rows of bytes that lie one after the other, which is linear layers of small
/// batches: weights are read once, as fast as memory gives them. It takes Hopper's clusters and shared
/// memory.
inline constexpr int kFewRows = 32;
struct LinearChoice {
  int stripes = 1;  // of kBlockOutputs outputs a thread block, 1 or 2
  int splits = 1;   // of the depth, by the thread blocks of a cluster
};
inline constexpr int kLinearSharedBytes = 113 << 10;  // at most
bool takes_few_rows(const infer::cuda::FilterGeometry& geometry, DType input, int device);
void run_linear(const FilterArguments& arguments, int bits, DType input, const LinearChoice& choice,
                cudaStream_t stream);

/// All, compiled apart for every number of bits.
template <int bits>
void run_filter_of(const FilterArguments& arguments, DType input, const FilterChoice& choice,
                   cudaStream_t stream);
template <int bits>
void run_patch_of(const FilterArguments& arguments, cudaStream_t stream);
/// Whether the code that runs on the device in use knows clusters (compiled_for_hopper in cuda/launch.h).
template <int bits>
bool linear_knows_clusters_of();
template <int bits>
void run_linear_of(const FilterArguments& arguments, DType input, const LinearChoice& choice,
                   cudaStream_t stream);

}  // namespace ds::cuda
