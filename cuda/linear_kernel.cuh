// The kernel of cuda/filter.h for few rows: linear layers of small batches, whose time is that of reading the
// weights once.
//
// - A thread block computes whole stripes of kBlockOutputs outputs. Its warps share the depth, a step each in
//   turn, so that together they read one piece of memory after the other, and no warp waits for another
//   before the end. Each has several steps of codes under way.
// - Weights are the rows of the tensor cores' product and images its columns, eight at a time: a batch of one
//   takes half the products of the kernels that have images as rows.
// - Copies of weights start, and the first are decoded, before the kernel before has ended: its end, its
//   results and this kernel's values are waited for while memory is busy. That takes two thread blocks a
//   multiprocessor, this kernel's and the next one's, and sets the sizes below.
// - Where outputs are too few for all multiprocessors, or a block's values too many, the thread blocks of a
//   cluster split the depth. They read each other's sums: no sums in memory, no counters.
#pragma once

#include "cuda/launch.h"
#include "cuda/linear_loader.cuh"

namespace ds::cuda {

/// The weights of a step: of two blocks of depth, as pairs of fragments, which are 16 outputs.
template <class Config>
struct StepWeights {
  uint32_t values[2][Config::kStripes][2][Config::kPlanes][4];

  __device__ void decode(const uint8_t* stage, int lane, const infer::cuda::DecodeTables& tables) {
#pragma unroll
    for (int block = 0; block < 2; ++block) {
#pragma unroll
      for (int s = 0; s < Config::kStripes; ++s) {
        alignas(16) uint32_t words[Config::kBits];
        load_words<Config::kBits>(reinterpret_cast<const uint32_t*>(stage + s * Config::kCodeBytes) +
                                      block * block_words(Config::kBits),
                                  lane, words);
#pragma unroll
        for (int f = 0; f < kFragments; ++f) {
          uint32_t decoded[Config::kPlanes][2];
          infer::cuda::decode_fragment<Config::kBits>(words, f, tables, decoded);
#pragma unroll
          for (int p = 0; p < Config::kPlanes; ++p) {
            values[block][s][f / 2][p][f % 2] = decoded[p][0];
            values[block][s][f / 2][p][2 + f % 2] = decoded[p][1];
          }
        }
      }
    }
  }
};

/// A lane's sums: of columns lane / 4 of the fragments 2 h (the first two) and 2 h + 1, of rows
/// 2 (lane % 4) and the next.
template <class Config>
struct LinearSums {
  int32_t values[Config::kPlanes][Config::kStripes][2][Config::kTiles][4] = {};

  __device__ void add(const StepWeights<Config>& weights, const uint8_t* stage, int lane) {
#pragma unroll
    for (int t = 0; t < Config::kTiles; ++t) {
      uint32_t rows[4];  // of 16 positions of depth each
      load_matrices(rows,
                    stage + Config::kStripes * Config::kCodeBytes + chunk_offset(t * 8 + lane % 8, lane / 8));
#pragma unroll
      for (int block = 0; block < 2; ++block) {
        const uint32_t columns[2] = {rows[2 * block], rows[2 * block + 1]};
#pragma unroll
        for (int s = 0; s < Config::kStripes; ++s) {
#pragma unroll
          for (int h = 0; h < 2; ++h) {
#pragma unroll
            for (int p = 0; p < Config::kPlanes; ++p) {
              multiply_add_transposed<Config::kInput == DType::kI8>(values[p][s][h][t],
                                                                    weights.values[block][s][h][p], columns);
            }
          }
        }
      }
    }
  }
};

/// Runs over the steps of a warp.
template <class Config>
__device__ void add_steps(const FilterArguments& args, int first_output, uint8_t* stages, int warp, int lane,
                          LinearSums<Config>& sums) {
  constexpr int kStages = Config::kStages;
  const WarpSteps steps = warp_steps<Config>(args, warp);
  const auto stage_of = [&](int i) { return stages + i % kStages * Config::kStageBytes; };
  const StepLoader<Config> loader(args, first_output, lane);
  const auto load_codes = [&](int i) { loader.load_codes(steps.first + i * Config::kWarps, stage_of(i)); };
  const auto load_values = [&](int i) { loader.load_values(steps.first + i * Config::kWarps, stage_of(i)); };
  const auto add_step = [&](int i, const StepWeights<Config>& weights) {
    sums.add(weights, stage_of(i), lane);
    __syncwarp();  // all have read the stage
    if (i + kStages < steps.count) {
      load_codes(i + kStages);
      load_values(i + kStages);
    }
    commit_copies();  // an empty group keeps the count
  };

  for (int i = 0; i < kStages; ++i) {
    if (i < steps.count) load_codes(i);
    commit_copies();
  }
  constexpr int kAhead = Config::kAhead;
  StepWeights<Config> ahead[kAhead];
  wait_for_copies<kStages - kAhead>();
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    if (i < steps.count) ahead[i].decode(stage_of(i), lane, args.tables);
  }
  wait_for_previous_kernel();
  for (int i = 0; i < kStages; ++i) {
    if (i < steps.count) load_values(i);
    commit_copies();
  }
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    wait_for_copies<kStages - 1>();
    __syncwarp();
    if (i < steps.count) add_step(i, ahead[i]);
  }
  for (int i = kAhead; i < steps.count; ++i) {
    wait_for_copies<kStages - 1>();
    __syncwarp();
    StepWeights<Config> weights;
    weights.decode(stage_of(i), lane, args.tables);
    add_step(i, weights);
  }
}

/// Adds the warps' sums, plane after plane, to `totals` [rows][kTotalPitch] in shared memory.
template <class Config, class Sum>
__device__ void add_warps(const LinearSums<Config>& sums, uint8_t* shared, int warp, int lane, Sum* totals) {
  auto* staged = reinterpret_cast<int4*>(shared);
  constexpr int kCount = Config::kQuads * infer::cuda::kLanes;
#pragma unroll
  for (int p = 0; p < Config::kPlanes; ++p) {
    __syncthreads();  // the stages, or the plane before, have been read
#pragma unroll
    for (int q = 0; q < Config::kQuads; ++q) {
      const int32_t(&quad)[4] =
          sums.values[p][q / 2 / Config::kTiles][q / Config::kTiles % 2][q % Config::kTiles];
      staged[warp * kCount + q * infer::cuda::kLanes + lane] = {quad[0], quad[1], quad[2], quad[3]};
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kCount; i += Config::kThreads) {
      int32_t all[4] = {};
#pragma unroll
      for (int w = 0; w < Config::kWarps; ++w) {
        const int4 quad = staged[w * kCount + i];
        all[0] += quad.x;
        all[1] += quad.y;
        all[2] += quad.z;
        all[3] += quad.w;
      }
      const int q = i / infer::cuda::kLanes;
      const int row = q % Config::kTiles * 8 + i % 4 * 2;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int f = q / Config::kTiles % 2 * 2 + j / 2;
        Sum& total = totals[(row + j % 2) * Config::kTotalPitch + q / 2 / Config::kTiles * kBlockOutputs +
                            infer::cuda::fragment_output(f, i % infer::cuda::kLanes / 4)];
        using Bits = std::make_unsigned_t<Sum>;  // 32 bits may wrap on the way
        const Bits sum = static_cast<Bits>(static_cast<Sum>(all[j])) << (8 * p);
        total = static_cast<Sum>(p == 0 ? sum : static_cast<Bits>(total) + sum);
      }
    }
  }
}

/// Finishes a value a thread, which takes less time than eight where there are few; the thread blocks of a
/// cluster deal out the rows.
template <class Config, class Sum>
__device__ void finish_linear(const FilterArguments& args, const LinearSums<Config>& sums, int first_output,
                              const RescaleArguments& rescale, uint8_t* shared, int warp, int lane) {
  auto* totals = reinterpret_cast<Sum*>(shared + Config::kStagedBytes);
  add_warps<Config>(sums, shared, warp, lane, totals);
  const auto splits = static_cast<int>(gridDim.x);
  if (splits > 1) {
    meet_cluster();
  } else {
    __syncthreads();
  }
  const int output = static_cast<int>(threadIdx.x) % Config::kOutputs;
  const int channel = first_output + output;
  constexpr int kRowsAtOnce = Config::kThreads / Config::kOutputs;
  for (int r = static_cast<int>(threadIdx.x) / Config::kOutputs;; r += kRowsAtOnce) {
    const int row = r * splits + static_cast<int>(blockIdx.x);
    if (row >= args.geometry.rows() || channel >= args.output_channels) break;
    std::make_unsigned_t<Sum> bits = 0;  // may wrap on the way
    for (int rank = 0; rank < splits; ++rank) {
      bits += static_cast<std::make_unsigned_t<Sum>>(
          *in_block(totals + row * Config::kTotalPitch + output, rank));
    }
    int64_t sum = static_cast<Sum>(bits);
    if (args.correction_starts != nullptr) {
      sum = static_cast<Sum>(sum + correction(args, Config::kInput, row, channel));
    }
    const int32_t value = channel < rescale.channels ? rescale_value(rescale, sum, row, channel) : 0;
    store_value(args.output, args.output_type, static_cast<int64_t>(row) * args.output_channels + channel,
                value);
  }
  if (splits > 1) meet_cluster();  // the others have read this block's sums
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocks)
    linear_kernel(const __grid_constant__ FilterArguments args) {
  extern __shared__ __align__(128) uint8_t shared[];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first_output = static_cast<int>(blockIdx.y) * Config::kOutputs;
  start_next_kernel();
  const SharedRescale<Config> rescale(args, first_output, shared);
  if (warp == 0) rescale.load(lane);  // with the first step's codes
  LinearSums<Config> sums;
  add_steps<Config>(args, first_output, shared + warp * Config::kStages * Config::kStageBytes, warp, lane,
                    sums);
  const RescaleArguments arguments = rescale.arguments();
  if (Config::kPlanes > 1 && args.rescale.wide) {
    finish_linear<Config, int64_t>(args, sums, first_output, arguments, shared, warp, lane);
  } else {
    // Where 32 bits hold what the sums end up as.
    finish_linear<Config, int32_t>(args, sums, first_output, arguments, shared, warp, lane);
  }
}

template <class Config>
void start_linear(const FilterArguments& args, int splits, cudaStream_t stream) {
  // Of the device in use; and what is no cache, for the next kernel's thread blocks.
  check(cudaFuncSetAttribute(linear_kernel<Config>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             Config::kSharedBytes),
        "asking for shared memory");
  check(cudaFuncSetAttribute(linear_kernel<Config>, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared),
        "asking for all shared memory");
  static_assert(Config::kSharedBytes <= kLinearSharedBytes);
  constexpr int kOutputs = Config::kOutputs;
  const dim3 grid(static_cast<unsigned>(splits),
                  static_cast<unsigned>((args.output_channels + kOutputs - 1) / kOutputs));
  launch(linear_kernel<Config>,
         {.grid = grid,
          .threads = Config::kThreads,
          .shared_bytes = Config::kSharedBytes,
          .cluster = static_cast<unsigned>(splits)},
         stream, args);
}

template <int bits>
bool linear_knows_clusters_of() {
  const auto kernel = linear_kernel<LinearConfig<bits, DType::kU8, 1, 1>>;
  return compiled_for_hopper(reinterpret_cast<const void*>(kernel));
}

template <int bits>
void run_linear_of(const FilterArguments& args, DType input, const LinearChoice& choice,
                   cudaStream_t stream) {
  const auto start = [&]<DType type, int tiles>() {
    if (choice.stripes == 1) {
      start_linear<LinearConfig<bits, type, tiles, 1>>(args, choice.splits, stream);
    } else {
      start_linear<LinearConfig<bits, type, tiles, 2>>(args, choice.splits, stream);
    }
  };
  const auto start_typed = [&]<DType type>() {
    const int rows = args.geometry.rows();
    if (rows <= 8) return start.template operator()<type, 1>();
    if (rows <= 16) return start.template operator()<type, 2>();
    return start.template operator()<type, 4>();
  };
  return input == DType::kU8 ? start_typed.template operator()<DType::kU8>()
                             : start_typed.template operator()<DType::kI8>();
}

}  // namespace ds::cuda
