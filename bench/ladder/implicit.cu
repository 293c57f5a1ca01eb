// Rung 4: the same shifts and additions, no im2col, and 4 x 4 sums a thread.
//
// Teaches reuse. Windows are read from the image itself, bytes instead of integers of 32 bits; nothing is
// written out and read back. A thread that keeps 16 sums in registers reads four values and four weights for
// 16 additions instead of one and one for each: what rungs 1 to 3 wait for, shared memory, no longer counts.
// Codes are decoded once a tile, not once a sum. And where a layer has fewer tiles than the device has
// multiprocessors, several blocks share a tile's depth. What is left are the shifts and additions.
#include "bench/ladder/tiles.cuh"

namespace ds::bench::ladder {
namespace {

struct WeightTile {
  alignas(16) int32_t shifts[kDepth][kColumns];
  alignas(16) int32_t signs[kDepth][kColumns];
};

/// Eight outputs of a position of depth.
__device__ void decode(uint32_t word, WeightTile& tile) {
  const int depth = static_cast<int>(threadIdx.x) / (kColumns / kCodes);
  const int column = static_cast<int>(threadIdx.x) % (kColumns / kCodes) * kCodes;
  int32_t shifts[kCodes];
  int32_t signs[kCodes];
#pragma unroll
  for (int i = 0; i < kCodes; ++i) {
    const int32_t magnitude = static_cast<int32_t>(word >> (4 * i) & 7);
    const int32_t sign = (word >> (4 * i) & 8) != 0 ? -1 : 1;
    shifts[i] = max(magnitude - 1, 0);
    signs[i] = magnitude == 0 ? 0 : sign;
  }
#pragma unroll
  for (int i = 0; i < kCodes; i += 4) {
    *reinterpret_cast<int4*>(&tile.shifts[depth][column + i]) =
        make_int4(shifts[i], shifts[i + 1], shifts[i + 2], shifts[i + 3]);
    *reinterpret_cast<int4*>(&tile.signs[depth][column + i]) =
        make_int4(signs[i], signs[i + 1], signs[i + 2], signs[i + 3]);
  }
}

__device__ void add_step(const int32_t (&values)[kDepth][kRows], const WeightTile& weights,
                         int32_t (&sums)[kSide][kSide]) {
#pragma unroll 8
  for (int d = 0; d < kDepth; ++d) {
    const int4 four = *reinterpret_cast<const int4*>(&values[d][own_row()]);
    const int4 four_shifts = *reinterpret_cast<const int4*>(&weights.shifts[d][own_column()]);
    const int4 four_signs = *reinterpret_cast<const int4*>(&weights.signs[d][own_column()]);
    const int32_t value[kSide] = {four.x, four.y, four.z, four.w};
    const int32_t shift[kSide] = {four_shifts.x, four_shifts.y, four_shifts.z, four_shifts.w};
    const int32_t sign[kSide] = {four_signs.x, four_signs.y, four_signs.z, four_signs.w};
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
#pragma unroll
      for (int j = 0; j < kSide; ++j) sums[i][j] += sign[j] * (value[i] << shift[j]);
    }
  }
}

__global__ void __launch_bounds__(kThreads) implicit_kernel(const __grid_constant__ TileArguments args) {
  __shared__ alignas(16) int32_t values[kDepth][kRows];
  __shared__ WeightTile weights;
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int first_output = static_cast<int>(blockIdx.y) * kColumns;
  const int words_across = args.filled_outputs / kCodes;
  const int thread = static_cast<int>(threadIdx.x);
  const uint32_t* codes = args.codes + static_cast<int64_t>(thread / (kColumns / kCodes)) * words_across +
                          first_output / kCodes + thread % (kColumns / kCodes);
  const Steps steps(args.steps);
  WindowWords windows(args, first_row, steps.first);
  int32_t sums[kSide][kSide] = {};
  for (int step = steps.first; step < steps.end; ++step) {
    uint32_t words[kLoads];
    windows.read(words);
    decode(codes[static_cast<int64_t>(step) * kDepth * words_across], weights);
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
#pragma unroll
      for (int b = 0; b < kQuad; ++b) {
        values[WindowWords::quad(i) * kQuad + b][WindowWords::row()] =
            static_cast<int32_t>(words[i] >> (8 * b) & 255);
      }
    }
    __syncthreads();
    add_step(values, weights, sums);
    __syncthreads();
  }
  store_sums(args, first_row, first_output, sums);
}

/// [depth][words of eight outputs], filled up to whole tiles.
std::vector<uint32_t> pack(const Problem& problem, const TileArguments& args) {
  const auto depth = static_cast<size_t>(problem.geometry.depth());
  const auto words_across = static_cast<size_t>(args.filled_outputs / kCodes);
  std::vector<uint32_t> packed(static_cast<size_t>(args.steps) * kDepth * words_across);
  for (size_t i = 0; i < problem.codes.size(); ++i) {
    const size_t output = i / depth;
    packed[i % depth * words_across + output / kCodes] |= uint32_t{problem.codes[i]}
                                                          << (4 * (output % kCodes));
  }
  return packed;
}

}  // namespace

Prepared prepare_implicit(const Problem& problem, cuda::DeviceMemory& memory) {
  return prepare_tiles(problem, memory, implicit_kernel, pack);
}

}  // namespace ds::bench::ladder
