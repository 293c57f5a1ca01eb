// What the kernel of cuda/linear_kernel.cuh brings to shared memory, and its sizes.
#pragma once

#include "cuda/filter_tile.cuh"

namespace ds::cuda {

/// `tiles` of eight rows, `stripes` of kBlockOutputs outputs.
template <int bits, DType input, int tiles, int stripes>
struct LinearConfig {
  static constexpr int kBits = bits;
  static constexpr DType kInput = input;
  static constexpr int kTiles = tiles;
  static constexpr int kStripes = stripes;
  static constexpr int kOutputs = stripes * kBlockOutputs;
  static constexpr int kPlanes = bits == 5 ? 2 : 1;  // bytes of a weight
  /// Registers of a lane: its sums; its decoded weights of a step.
  static constexpr int kSumRegisters = kPlanes * stripes * 2 * tiles * 4;
  static constexpr int kStepRegisters = 16 * stripes * kPlanes;
  static constexpr int kWarps = stripes > 1 || kSumRegisters > 16 ? 8 : 16;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kCodeBytes = 2 * block_words(bits) * 4;  // of a stripe, a step of a warp
  static constexpr int kStageBytes = stripes * kCodeBytes + tiles * 8 * kStepDepth;
  /// As many as leave room for the next kernel.
  static constexpr int kStages = std::clamp((112 << 10) / (kWarps * kStageBytes), 2, 6);
  static constexpr int kBlocks = kSumRegisters * 2 <= 32768 / kThreads ? 2 : 1;  // a multiprocessor
  /// Steps that are decoded before the kernel before has ended.
  static constexpr int kAhead = kSumRegisters + 2 * kStepRegisters <= 640 / kWarps ? 2 : 1;
  /// Of the warps' sums of a plane, and of the block's: four values between rows keep them in different
  /// banks.
  static constexpr int kQuads = stripes * 2 * tiles;  // of sums of a lane
  static constexpr int kStagedBytes = kWarps * kQuads * infer::cuda::kLanes * 16;
  static constexpr int kTotalPitch = kOutputs + 4;
  static constexpr int kWorkBytes =
      std::max(kWarps * kStages * kStageBytes, kStagedBytes + tiles * 8 * kTotalPitch * kPlanes * 4);
  static constexpr int kSharedBytes = kWorkBytes + kOutputs * 16;  // and for rescaling
};

/// What the outputs of a thread block are rescaled by, in shared memory: it is there when it is needed.
template <class Config>
class SharedRescale {
 public:
  __device__ SharedRescale(const FilterArguments& args, int first_output, uint8_t* shared)
      : args_(args), first_output_(first_output), shared_(shared + Config::kWorkBytes) {}

  /// By one warp.
  __device__ void load(int lane) const {
    constexpr int kChunks = Config::kOutputs / 4;
    for (int i = lane; i < 4 * kChunks; i += 32) {
      const int at = i % kChunks;
      const void* source = i < kChunks       ? chunk(args_.rescale.multiplier, at)
                           : i < 2 * kChunks ? chunk(args_.rescale.shift, at)
                                             : chunk(args_.rescale.addend, i - 2 * kChunks);
      copy_async_16(shared_ + i * 16, source, true);
    }
  }

  /// As if the arrays were whole.
  __device__ RescaleArguments arguments() const {
    RescaleArguments result = args_.rescale;
    const auto* words = reinterpret_cast<const int32_t*>(shared_);
    result.multiplier = words - first_output_;
    result.shift = words + Config::kOutputs - first_output_;
    result.addend = reinterpret_cast<const int64_t*>(words + 2 * Config::kOutputs) - first_output_;
    return result;
  }

 private:
  template <class T>
  __device__ const void* chunk(const T* values, int index) const {
    return reinterpret_cast<const uint4*>(values + first_output_) + index;
  }

  const FilterArguments& args_;
  int first_output_;
  uint8_t* shared_;
};

/// The steps of a warp: every kWarps-th of its thread block's.
struct WarpSteps {
  int first = 0;
  int count = 0;
};

template <class Config>
__device__ WarpSteps warp_steps(const FilterArguments& args, int warp) {
  const auto all = static_cast<unsigned>(args.depth_blocks * kBlockDepth / kStepDepth);
  const auto begin = static_cast<int>(all * blockIdx.x / gridDim.x);
  const auto end = static_cast<int>(all * (blockIdx.x + 1) / gridDim.x);
  return {begin + warp, max(end - begin - warp + Config::kWarps - 1, 0) / Config::kWarps};
}

/// Copies steps to shared memory, as stages. Addresses are those of a lane, so that little is left to compute
/// in a step.
template <class Config>
class StepLoader {
 public:
  __device__ StepLoader(const FilterArguments& args, int first_output, int lane)
      : args_(args),
        lane_(lane),
        codes_(reinterpret_cast<const uint8_t*>(args.weights) +
               first_output / kBlockOutputs * stripe_bytes() + lane * 16),
        values_(static_cast<const uint8_t*>(args.input) +
                static_cast<int64_t>(lane / 4) * args.geometry.channels + lane % 4 * 16) {}

  /// The codes, which stand side by side in each stripe.
  __device__ void load_codes(int step, uint8_t* stage) const {
    constexpr int kChunks = Config::kCodeBytes / 16;
#pragma unroll
    for (int s = 0; s < Config::kStripes; ++s) {
      const uint8_t* source = codes_ + s * stripe_bytes() + static_cast<int64_t>(step) * Config::kCodeBytes;
#pragma unroll
      for (int i = 0; i < kChunks; i += 32) {
        if (i + lane_ >= kChunks) break;
        copy_async_16(stage + s * Config::kCodeBytes + (i + lane_) * 16, source + i * 16, true);
      }
    }
  }

  /// The values. What stands in rows that are not there gives sums that nobody reads.
  __device__ void load_values(int step, uint8_t* stage) const {
    const bool inside = step * kStepDepth + lane_ % 4 * 16 < args_.geometry.channels;
#pragma unroll
    for (int t = 0; t < Config::kTiles; ++t) {
      const int row = t * 8 + lane_ / 4;
      if (row >= args_.geometry.rows()) break;
      const uint8_t* source =
          values_ + static_cast<int64_t>(t * 8) * args_.geometry.channels + step * kStepDepth;
      copy_async_16(stage + Config::kStripes * Config::kCodeBytes + chunk_offset(row, lane_ % 4),
                    inside ? source : args_.input, inside);
    }
  }

 private:
  __device__ int64_t stripe_bytes() const {
    return static_cast<int64_t>(args_.depth_blocks) * block_words(Config::kBits) * 4;
  }

  const FilterArguments& args_;
  int lane_;
  const uint8_t* codes_;
  const uint8_t* values_;
};

}  // namespace ds::cuda
