// What rungs 4 and 5 share: windows that are read from where the image stands, 64 x 64 sums a thread block,
// 4 x 4 of them a thread, and a depth that is shared out where a layer has few tiles.
#pragma once

#include <algorithm>

#include "bench/ladder/problem.h"
#include "bench/ladder/start.cuh"

namespace ds::bench::ladder {

inline constexpr int kRows = 64;
inline constexpr int kColumns = 64;
inline constexpr int kDepth = 32;  // of a step
inline constexpr int kThreads = 256;
inline constexpr int kSide = 4;   // of a thread's sums
inline constexpr int kQuad = 4;   // channels of a word of values
inline constexpr int kCodes = 8;  // of a word of codes
inline constexpr int kQuads = kDepth / kQuad;
inline constexpr int kLoads = kRows * kQuads / kThreads;  // words of values that a thread brings to a step
static_assert(kColumns * kDepth / kCodes == kThreads);    // and one word of codes

struct TileArguments {
  infer::cuda::FilterGeometry geometry;  // whole words of channels
  const uint8_t* values = nullptr;
  const uint32_t* codes = nullptr;
  int32_t* sums = nullptr;
  int outputs = 0;
  int filled_outputs = 0;  // those of the codes, whole tiles
  int steps = 0;           // of the depth that the codes have
};

/// The steps of this block: the depth is shared out along z.
struct Steps {
  int first;
  int end;

  __device__ explicit Steps(int all)
      : first(static_cast<int>(static_cast<int64_t>(all) * blockIdx.z / gridDim.z)),
        end(static_cast<int>(static_cast<int64_t>(all) * (blockIdx.z + 1) / gridDim.z)) {}
};

/// Reads the words of values that are this thread's part of a step: of one row, in quads quad(0), quad(1) ..
class WindowWords {
 public:
  __device__ WindowWords(const TileArguments& args, int first_row, int first_step)
      : geometry_(args.geometry),
        values_(args.values),
        cursors_{infer::cuda::TapCursor(args.geometry, first_step * kDepth + quad(0) * kQuad),
                 infer::cuda::TapCursor(args.geometry, first_step * kDepth + quad(1) * kQuad)} {
    if (first_row + row() < geometry_.rows()) window_ = window_row(geometry_, first_row + row());
  }

  __device__ static int row() { return static_cast<int>(threadIdx.x) % kRows; }
  __device__ static int quad(int i) { return static_cast<int>(threadIdx.x) / kRows + i * (kThreads / kRows); }

  /// Of this step; zeros outside of the image.
  __device__ void read(uint32_t (&words)[kLoads]) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const bool inside = cursors_[i].inside(window_);
      words[i] = inside ? *reinterpret_cast<const uint32_t*>(values_ + cursors_[i].source(window_)) : 0;
      cursors_[i].advance(geometry_, kDepth);
    }
  }

 private:
  static_assert(kLoads == 2);
  const infer::cuda::FilterGeometry& geometry_;
  const uint8_t* values_;
  infer::cuda::TapCursor cursors_[kLoads];
  infer::cuda::WindowRow window_;
};

/// The first of a thread's rows and columns in the tile.
__device__ inline int own_row() { return static_cast<int>(threadIdx.x) / (kColumns / kSide) * kSide; }
__device__ inline int own_column() { return static_cast<int>(threadIdx.x) % (kColumns / kSide) * kSide; }

/// Blocks that share a tile add to what stands there, which was zero; integers are the same in any order.
__device__ inline void store_sums(const TileArguments& args, int first_row, int first_output,
                                  const int32_t (&sums)[kSide][kSide]) {
  const int output = first_output + own_column();
  if (output >= args.outputs) return;
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    const int row = first_row + own_row() + i;
    if (row >= args.geometry.rows()) return;
    int32_t* target = args.sums + static_cast<int64_t>(row) * args.outputs + output;
    if (gridDim.z == 1) {
      *reinterpret_cast<int4*>(target) = make_int4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    } else {
#pragma unroll
      for (int j = 0; j < kSide; ++j) atomicAdd(target + j, sums[i][j]);
    }
  }
}

/// All but the codes.
inline TileArguments tile_arguments(const Problem& problem, cuda::DeviceMemory& memory) {
  const auto rows = static_cast<size_t>(problem.geometry.rows());
  const auto outputs = static_cast<size_t>(problem.outputs);
  return {.geometry = problem.geometry,
          .values = memory.upload(problem.values),
          .sums = static_cast<int32_t*>(memory.allocate(rows * outputs * sizeof(int32_t))),
          .outputs = problem.outputs,
          .filled_outputs = static_cast<int>(parts(problem.outputs, kColumns)) * kColumns,
          .steps = static_cast<int>(parts(problem.geometry.depth(), kDepth))};
}

/// A layer of `kernel`, with codes as `pack` lays them out: its depth in as many parts as give each
/// multiprocessor two blocks, of four steps or more.
inline Prepared prepare_tiles(const Problem& given, cuda::DeviceMemory& memory, void (*kernel)(TileArguments),
                              std::vector<uint32_t> (*pack)(const Problem&, const TileArguments&)) {
  const Problem problem = with_whole_channels(given, kQuad);
  TileArguments args = tile_arguments(problem, memory);
  args.codes = memory.upload(pack(problem, args));
  int multiprocessors = 0;
  cuda::check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, memory.device().index),
              "asking for multiprocessors");
  const int rows = args.geometry.rows();
  dim3 grid(parts(rows, kRows), parts(args.outputs, kColumns));
  const int wanted = static_cast<int>(parts(2 * multiprocessors, static_cast<int>(grid.x * grid.y)));
  grid.z = static_cast<unsigned>(std::clamp(wanted, 1, std::max(1, args.steps / 4)));
  return {.start =
              [=](cudaStream_t stream) {
                const size_t bytes =
                    static_cast<size_t>(rows) * static_cast<size_t>(args.outputs) * sizeof(int32_t);
                if (grid.z > 1) cuda::check(cudaMemsetAsync(args.sums, 0, bytes, stream), "writing zeros");
                start_kernel(kernel, grid, kThreads, stream, args);
              },
          .sums = args.sums};
}

}  // namespace ds::bench::ladder
