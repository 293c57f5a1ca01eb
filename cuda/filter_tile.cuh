// What the kernels of convolutions and linear layers on tensor cores share: a tile of sums, computed by the
// warps of a thread block, one to four down and two or four across, 16 kRows x 32 each; and what becomes of
// the sums.
//
// Values of two bytes are low + 256 high, weights of 5 bits too: their products are summed by weight of the
// bytes, sums[i] counting 256^i, and added in the end.
#pragma once

#include <algorithm>

#include "cuda/filter.h"
#include "cuda/ptx.cuh"

namespace ds::cuda {

using infer::cuda::block_words;
using infer::cuda::kBlockDepth;
using infer::cuda::kBlockOutputs;
using infer::cuda::kFragments;
using infer::cuda::TapCursor;
using infer::cuda::window_row;
using infer::cuda::word_index;

inline constexpr int kStepDepth = 64;  // bytes of a row in shared memory: four chunks of 16

/// Where a chunk of 16 bytes of a row stands: turned, so that eight rows of a matrix lie in eight banks.
__device__ inline int chunk_offset(int row, int chunk) {
  return row * kStepDepth + ((chunk ^ ((row >> 1) & 3)) << 4);
}

/// The sizes of a tile.
template <int bits, DType input, int warps_down, int warps_across, int rows>
struct TileConfig {
  static constexpr int kBits = bits;
  static constexpr DType kInput = input;
  static constexpr int kValuePlanes = input == DType::kI16 ? 2 : 1;
  static constexpr int kWeightPlanes = bits == 5 ? 2 : 1;
  static constexpr int kSums = kValuePlanes + kWeightPlanes - 1;
  static constexpr int kWarpsDown = warps_down;
  static constexpr int kWarpsAcross = warps_across;
  static constexpr int kRows = rows;
  static constexpr int kTileRows = 16 * rows * warps_down;
  static constexpr int kTileColumns = kBlockOutputs * warps_across;
  static constexpr int kThreads = 32 * warps_down * warps_across;
  static constexpr int kBlocks = (kSums <= 2 ? 512 : 256) / kThreads;  // that a multiprocessor is to hold
  /// Where 32 bits hold what a node's sums end up as, they may wrap on the way.
  template <bool wide>
  using Sum = std::conditional_t<kSums == 1 || !wide, int32_t, int64_t>;
  /// Sums leave through shared memory, 16 kPass rows of each warp at a time; four values between rows keep
  /// them in different banks.
  static constexpr int kSumPitch = kTileColumns + 4;
  template <class SumType>
  static constexpr int kPass = sizeof(SumType) == 4 && kRows > 1 ? 2 : 1;
  template <class SumType>
  static constexpr int kSumRows = 16 * kPass<SumType>* kWarpsDown;
  static constexpr int kSumBytes =
      kSumPitch * std::max(kSumRows<int32_t> * 4, kSums == 1 ? 0 : kSumRows<int64_t> * 8);
};

/// The words of a lane, in loads of up to 16 bytes (word_index).
template <int bits>
__device__ inline void load_words(const uint32_t* block, int lane, uint32_t (&words)[bits]) {
  constexpr int kVector = bits >= 4 ? 4 : 2;
  using Vector = std::conditional_t<kVector == 4, uint4, uint2>;
  *reinterpret_cast<Vector*>(words) = reinterpret_cast<const Vector*>(block)[lane];
  if constexpr (bits > kVector) words[kVector] = block[word_index(bits, lane, kVector)];
}

template <class Config>
struct WarpSums {
  int32_t values[Config::kSums][Config::kRows][kFragments][4] = {};

  /// Adds the products of one block of depth: values in the registers of the tensor cores, rows[plane][m],
  /// and the codes of `block` in shared memory.
  __device__ void add(const uint32_t (&rows)[Config::kValuePlanes][Config::kRows][4], const uint32_t* block,
                      int lane, const infer::cuda::DecodeTables& tables) {
    alignas(16) uint32_t words[Config::kBits];
    load_words<Config::kBits>(block, lane, words);
#pragma unroll
    for (int f = 0; f < kFragments; ++f) {
      uint32_t weights[Config::kWeightPlanes][2];
      infer::cuda::decode_fragment<Config::kBits>(words, f, tables, weights);
#pragma unroll
      for (int m = 0; m < Config::kRows; ++m) {
#pragma unroll
        for (int w = 0; w < Config::kWeightPlanes; ++w) {
          // The high byte of a value has its sign.
          constexpr int kTop = Config::kValuePlanes - 1;
          multiply_add<Config::kInput != DType::kU8>(values[kTop + w][m][f], rows[kTop][m], weights[w]);
          if constexpr (kTop > 0) multiply_add<false>(values[w][m][f], rows[0][m], weights[w]);
        }
      }
    }
  }

  /// Rows m of all warps, the p-th of a pass, to shared memory, [kSumRows][kSumPitch].
  template <class Sum>
  __device__ void stage(int m, int p, int warp_down, int warp_across, int lane, Sum* shared) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      Sum* row = shared +
                 ((warp_down * Config::template kPass<Sum> + p) * 16 + h * 8 + lane / 4) * Config::kSumPitch +
                 warp_across * kBlockOutputs + lane % 4 * 8;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        std::make_unsigned_t<Sum> sum = 0;
        for (int s = 0; s < Config::kSums; ++s) {
          sum += static_cast<std::make_unsigned_t<Sum>>(static_cast<Sum>(values[s][m][i / 2][h * 2 + i % 2]))
                 << (8 * s);
        }
        row[i] = static_cast<Sum>(sum);
      }
    }
  }
};

/// What the decoded weights of a channel are short of.
__device__ __noinline__ static int64_t correction(const FilterArguments& args, DType input, int row,
                                                  int channel) {
  int64_t sum = 0;
  const infer::cuda::WindowRow window = window_row(args.geometry, row);
  for (int i = args.correction_starts[channel]; i < args.correction_starts[channel + 1]; ++i) {
    const TapCursor cursor(args.geometry, args.corrections[i].depth);
    if (!cursor.inside(window)) continue;
    sum += static_cast<int64_t>(load_value(args.input, input, cursor.source(window))) *
           args.corrections[i].amount;
  }
  return sum;
}

/// Rescales and stores a pixel's eight channels from `channel` on.
template <bool wide>
class EightChannels {
 public:
  __device__ EightChannels(const FilterArguments& args, int channel) : args_(args), channel_(channel) {
#pragma unroll
    for (int i = 0; i < 8; ++i) channels_[i] = ChannelRescale<wide>(args.rescale, channel + i);
  }

  template <class Sum>
  __device__ void finish(DType input, int row, const Sum* sums) const {
    const RescaleArguments& r = args_.rescale;
    int32_t shortcut[8] = {};
    int32_t values[8] = {};
    if (channel_ < r.channels) {
      if (r.shortcut != nullptr) {
        load_eight(r.shortcut, r.shortcut_type, static_cast<int64_t>(row) * r.shortcut_stored + channel_,
                   shortcut);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        int64_t a = sums[i];
        if (args_.correction_starts != nullptr) {
          // What was summed is not what counts, and may have left 32 bits where that does not.
          a = static_cast<Sum>(a + correction(args_, input, row, channel_ + i));
        }
        values[i] = channels_[i](r, static_cast<typename ChannelRescale<wide>::Sum>(a), shortcut[i]);
      }
    }
    store_eight(args_.output, args_.output_type, static_cast<int64_t>(row) * args_.output_channels + channel_,
                values);
  }

 private:
  const FilterArguments& args_;
  int channel_;
  ChannelRescale<wide> channels_[8];
};

/// Calls body(m, row in shared memory, row of the tile) for the calling thread's rows of a pass over the
/// staged sums, kLanesAcross threads a row.
template <class Config, class Sum, int lanes_across, class Body>
__device__ void for_staged_rows(const WarpSums<Config>& sums, uint8_t* shared, Body&& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  constexpr int kPass = Config::template kPass<Sum>;
  auto* staged = reinterpret_cast<Sum*>(shared);
#pragma unroll
  for (int m = 0; m < Config::kRows; m += kPass) {
    __syncthreads();  // the stages, or the sums before, have been read
#pragma unroll
    for (int p = 0; p < kPass; ++p) {
      sums.stage(m + p, p, warp / Config::kWarpsAcross, warp % Config::kWarpsAcross, lane, staged);
    }
    __syncthreads();
#pragma unroll 1
    for (int r = static_cast<int>(threadIdx.x) / lanes_across; r < Config::template kSumRows<Sum>;
         r += Config::kThreads / lanes_across) {
      body(staged + r * Config::kSumPitch,
           (r / 16 / kPass * Config::kRows + m + r / 16 % kPass) * 16 + r % 16);
    }
  }
}

/// `row_of(row of the tile)`: the output pixel, or -1.
template <class Config, bool wide, class RowOf>
__device__ void finish_whole(const FilterArguments& args, const WarpSums<Config>& sums, int first_output,
                             uint8_t* shared, const RowOf& row_of) {
  constexpr int kAcross = Config::kTileColumns / 8;
  const int column = static_cast<int>(threadIdx.x) % kAcross * 8;
  const EightChannels<wide> channels(args, first_output + column);
  using Sum = typename Config::template Sum<wide>;
  for_staged_rows<Config, Sum, kAcross>(sums, shared, [&](const Sum* staged, int tile_row) {
    const int row = row_of(tile_row);
    if (row >= 0 && first_output + column < args.output_channels) {
      channels.finish(Config::kInput, row, staged + column);
    }
  });
}

}  // namespace ds::cuda
