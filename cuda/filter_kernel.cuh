// The kernel of cuda/filter.h for any window. Windows and packed weights come to shared memory a few steps
// ahead, 64 positions of depth at a time; weights are decoded in registers (cuda/filter_tile.cuh).
#pragma once

#include "cuda/filter_tile.cuh"
#include "cuda/launch.h"

namespace ds::cuda {

using infer::cuda::FilterGeometry;

template <int bits, DType input, FilterTile tile,
          TileShape shape = tile_shape(tile, has_two_bytes(bits, input))>
struct FilterConfig : TileConfig<bits, input, shape.warps_down, shape.warps_across, shape.rows> {
  static constexpr int kValueBytes = shape.tile_rows() * kStepDepth;  // of a plane of a stage
  static constexpr int kWeightBytes = shape.warps_across * 2 * block_words(bits) * 4;
  static constexpr int kStageBytes = FilterConfig::kValuePlanes * kValueBytes + kWeightBytes;
  /// As many as 48 KiB hold, which every device has.
  static constexpr int kStages = std::min(8, (48 << 10) / kStageBytes);
  static constexpr int kSharedBytes = std::max(kStages * kStageBytes, FilterConfig::kSumBytes);
};

/// Brings windows to shared memory. A thread keeps one column of chunks, and every kRowStep-th row.
template <class Config>
class WindowLoader {
 public:
  static constexpr bool kWords = Config::kInput == DType::kI16;
  static constexpr int kChunk = kWords ? 4 : 16;  // values at a time
  static constexpr int kColumns = kStepDepth / kChunk;
  static constexpr int kRowStep = Config::kThreads / kColumns;
  static constexpr int kLoads = (Config::kTileRows + kRowStep - 1) / kRowStep;

  __device__ WindowLoader(const FilterArguments& args, int first_row, int first_depth)
      : geometry_(args.geometry),
        input_(static_cast<const uint8_t*>(args.input)),
        column_(static_cast<int>(threadIdx.x) % kColumns),
        row_(static_cast<int>(threadIdx.x) / kColumns),
        cursor_(args.geometry, first_depth + column_ * kChunk) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int row = first_row + row_ + i * kRowStep;
      if (row < geometry_.rows()) rows_[i] = window_row(geometry_, row);
    }
  }

  /// The next step.
  __device__ void load(uint8_t* stage) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int row = row_ + i * kRowStep;
      if (row >= Config::kTileRows) break;
      const bool inside = cursor_.inside(rows_[i]);
      const int source = inside ? cursor_.source(rows_[i]) : 0;
      if constexpr (kWords) {
        const uint2 words = inside ? *reinterpret_cast<const uint2*>(input_ + 2 * int64_t{source}) : uint2{};
        const int at = chunk_offset(row, column_ / 4) + column_ % 4 * 4;
        *reinterpret_cast<uint32_t*>(stage + at) = __byte_perm(words.x, words.y, 0x6420);
        *reinterpret_cast<uint32_t*>(stage + Config::kValueBytes + at) =
            __byte_perm(words.x, words.y, 0x7531);
      } else {
        copy_async_16(stage + chunk_offset(row, column_), input_ + source, inside);
      }
    }
    cursor_.advance(geometry_, kStepDepth);
  }

 private:
  const FilterGeometry& geometry_;
  const uint8_t* input_;
  int column_;
  int row_;
  TapCursor cursor_;
  infer::cuda::WindowRow rows_[kLoads];
};

/// The codes of a step: two blocks of each column of blocks, which stand side by side.
template <class Config>
__device__ void load_weights(const FilterArguments& args, int first_output, int depth_block, uint8_t* stage) {
  constexpr int kChunks = 2 * block_words(Config::kBits) / 4;
  for (int i = static_cast<int>(threadIdx.x); i < kChunks * Config::kWarpsAcross; i += Config::kThreads) {
    const int64_t block =
        static_cast<int64_t>(first_output / kBlockOutputs + i / kChunks) * args.depth_blocks + depth_block;
    const uint32_t* source = args.weights + block * block_words(Config::kBits) + i % kChunks * 4;
    copy_async_16(stage + i * 16, source, true);
  }
}

/// One half of a step: the values of a warp's rows in the registers of the tensor cores.
template <class Config>
__device__ void load_rows(const uint8_t* stage, int half, int warp_down, int lane,
                          uint32_t (&rows)[Config::kValuePlanes][Config::kRows][4]) {
#pragma unroll
  for (int p = 0; p < Config::kValuePlanes; ++p) {
#pragma unroll
    for (int m = 0; m < Config::kRows; ++m) {
      const int row = (warp_down * Config::kRows + m) * 16 + lane % 16;
      load_matrices(rows[p][m], stage + p * Config::kValueBytes + chunk_offset(row, half * 2 + lane / 16));
    }
  }
}

/// And the codes of a warp's columns.
template <class Config>
__device__ const uint32_t* codes_of(const uint8_t* stage, int half, int warp_across) {
  return reinterpret_cast<const uint32_t*>(stage + Config::kValuePlanes * Config::kValueBytes) +
         (warp_across * 2 + half) * block_words(Config::kBits);
}

/// Sums of the parts of the depth are added in memory; the block that comes last finishes the tile, and
/// leaves zeros for the next run. Integers are the same in any order.
template <class Config, class Sum>
__device__ void add_to_memory(const FilterArguments& args, const WarpSums<Config>& sums, int first_row,
                              int first_output, uint8_t* shared) {
  constexpr int kAcross = Config::kTileColumns;
  static_assert(Config::kThreads % kAcross == 0 || kAcross % Config::kThreads == 0);
  constexpr int kLanes = kAcross < Config::kThreads ? kAcross : Config::kThreads;
  using Staged = std::make_signed_t<Sum>;
  for_staged_rows<Config, Staged, kLanes>(sums, shared, [&](const Staged* staged, int tile_row) {
    const int row = first_row + tile_row;
    if (row >= args.geometry.rows()) return;
    for (int column = static_cast<int>(threadIdx.x) % kLanes; column < kAcross; column += kLanes) {
      Sum* place = static_cast<Sum*>(args.partial_sums) + static_cast<int64_t>(row) * args.outputs +
                   first_output + column;
      atomicAdd(place, static_cast<Sum>(staged[column]));
    }
  });
}

/// Whether this block is the last of its tile.
__device__ inline bool is_last(const FilterArguments& args) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    uint32_t* ticket = args.tickets + blockIdx.y * gridDim.x + blockIdx.x;
    last = atomicAdd(ticket, 1) == gridDim.z - 1;
    if (last) *ticket = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

template <class Config, bool wide, class Sum>
__device__ void finish_from_memory(const FilterArguments& args, int first_row, int first_output) {
  constexpr int kAcross = Config::kTileColumns / 8;
  const int channel = first_output + static_cast<int>(threadIdx.x) % kAcross * 8;
  const EightChannels<wide> channels(args, channel);
  for (int r = static_cast<int>(threadIdx.x) / kAcross; r < Config::kTileRows;
       r += Config::kThreads / kAcross) {
    const int row = first_row + r;
    if (row >= args.geometry.rows()) break;
    auto* place = reinterpret_cast<uint4*>(static_cast<Sum*>(args.partial_sums) +
                                           static_cast<int64_t>(row) * args.outputs + channel);
    alignas(16) std::make_signed_t<Sum> all[8];
#pragma unroll
    for (size_t i = 0; i < sizeof(all) / 16; ++i) {
      reinterpret_cast<uint4*>(all)[i] = __ldcg(place + i);
      place[i] = uint4{};
    }
    if (channel < args.output_channels) channels.finish(Config::kInput, row, all);
  }
}

template <class Config, bool wide>
__device__ void finish_tile(const FilterArguments& args, const WarpSums<Config>& sums, int first_row,
                            int first_output, uint8_t* shared) {
  if (gridDim.z == 1) {
    return finish_whole<Config, wide>(args, sums, first_output, shared, [&](int tile_row) {
      return first_row + tile_row < args.geometry.rows() ? first_row + tile_row : -1;
    });
  }
  if (wide && args.wide_sums) {
    add_to_memory<Config, unsigned long long>(args, sums, first_row, first_output, shared);
    if (is_last(args)) finish_from_memory<Config, wide, unsigned long long>(args, first_row, first_output);
  } else {
    add_to_memory<Config, unsigned int>(args, sums, first_row, first_output, shared);
    if (is_last(args)) finish_from_memory<Config, wide, unsigned int>(args, first_row, first_output);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocks)
    filter_kernel(const __grid_constant__ FilterArguments args) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first_row = static_cast<int>(blockIdx.x) * Config::kTileRows;
  const int first_output = static_cast<int>(blockIdx.y) * Config::kTileColumns;
  const int all_steps = args.depth_blocks * kBlockDepth / kStepDepth;
  const int first_step = static_cast<int>(static_cast<int64_t>(all_steps) * blockIdx.z / gridDim.z);
  const int end_step = static_cast<int>(static_cast<int64_t>(all_steps) * (blockIdx.z + 1) / gridDim.z);

  constexpr int kStages = Config::kStages;
  const auto stage_of = [&](int step) { return shared + step % kStages * Config::kStageBytes; };
  const auto load_codes = [&](int step) {
    load_weights<Config>(args, first_output, step * 2,
                         stage_of(step) + Config::kValuePlanes * Config::kValueBytes);
  };
  start_next_kernel();
  WindowLoader<Config> windows(args, first_row, first_step * kStepDepth);
  // Weights do not depend on the layer before.
  for (int step = first_step; step < min(first_step + kStages - 1, end_step); ++step) load_codes(step);
  wait_for_previous_kernel();
  for (int step = first_step; step < first_step + kStages - 1; ++step) {
    if (step < end_step) windows.load(stage_of(step));
    commit_copies();  // an empty group keeps the count
  }
  WarpSums<Config> sums;
  for (int step = first_step; step < end_step; ++step) {
    wait_for_copies<kStages - 2>();
    __syncthreads();  // the step has come for all, and the stage before it is free
    if (step + kStages - 1 < end_step) {
      windows.load(stage_of(step + kStages - 1));
      load_codes(step + kStages - 1);
    }
    commit_copies();
    const uint8_t* stage = stage_of(step);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t rows[Config::kValuePlanes][Config::kRows][4];
      load_rows<Config>(stage, half, warp / Config::kWarpsAcross, lane, rows);
      sums.add(rows, codes_of<Config>(stage, half, warp % Config::kWarpsAcross), lane, args.tables);
    }
  }
  if (args.rescale.wide) {
    finish_tile<Config, true>(args, sums, first_row, first_output, shared);
  } else {
    finish_tile<Config, false>(args, sums, first_row, first_output, shared);
  }
}

template <class Config>
void start_filter(const FilterArguments& args, int splits, cudaStream_t stream) {
  // Of the device in use.
  const cudaError_t allowed = cudaFuncSetAttribute(
      filter_kernel<Config>, cudaFuncAttributeMaxDynamicSharedMemorySize, Config::kSharedBytes);
  check(allowed, "asking for shared memory");
  const dim3 grid(
      static_cast<unsigned>((args.geometry.rows() + Config::kTileRows - 1) / Config::kTileRows),
      static_cast<unsigned>((args.output_channels + Config::kTileColumns - 1) / Config::kTileColumns),
      static_cast<unsigned>(splits));
  launch(filter_kernel<Config>,
         {.grid = grid, .threads = Config::kThreads, .shared_bytes = Config::kSharedBytes}, stream, args);
}

template <int bits>
void run_filter_of(const FilterArguments& args, DType input, const FilterChoice& choice,
                   cudaStream_t stream) {
  const auto start = [&]<DType type>() {
    switch (choice.tile) {
      case FilterTile::kLarge:
        return start_filter<FilterConfig<bits, type, FilterTile::kLarge>>(args, choice.splits, stream);
      case FilterTile::kTall:
        return start_filter<
            FilterConfig<bits, type, has_two_bytes(bits, type) ? FilterTile::kMedium : FilterTile::kTall>>(
            args, choice.splits, stream);
      case FilterTile::kMedium:
        return start_filter<FilterConfig<bits, type, FilterTile::kMedium>>(args, choice.splits, stream);
      case FilterTile::kFlat:
        return start_filter<FilterConfig<bits, type, FilterTile::kFlat>>(args, choice.splits, stream);
    }
  };
  switch (input) {
    case DType::kU8: return start.template operator()<DType::kU8>();
    case DType::kI8: return start.template operator()<DType::kI8>();
    default: return start.template operator()<DType::kI16>();
  }
}

}  // namespace ds::cuda
