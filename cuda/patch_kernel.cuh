// The kernel of cuda/filter.h for images of up to four channels of 16 bits: the first layer of most networks.
// A thread block computes 8 x 16 output pixels from a patch of the image that it holds in shared memory as it
// is: four values of a pixel are four neighbouring positions of depth, and a row of up to eight taps is one
// block of depth, so that the tensor cores' registers are read from the patch directly.
#pragma once

#include "cuda/filter_tile.cuh"
#include "cuda/launch.h"

namespace ds::cuda {

using infer::cuda::kPatchPixelBytes;

template <int bits>
struct PatchConfig : TileConfig<bits, DType::kI16, 4, 2, 2> {};

/// Copies 8 bytes to shared memory, zeros where `valid` is false.
__device__ inline void copy_async_8(void* target, const void* source, bool valid) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(target)), "l"(source),
               "r"(valid ? 8 : 0));
#else
  *static_cast<uint2*>(target) = valid ? *static_cast<const uint2*>(source) : uint2{};
#endif
}

/// The patch of the block, rows of `width` pixels.
__device__ inline void load_patch(const FilterArguments& args, int image, int first_y, int first_x,
                                  int height, int width, uint8_t* patch) {
  const infer::cuda::FilterGeometry& g = args.geometry;
  for (int i = static_cast<int>(threadIdx.x); i < height * width; i += static_cast<int>(blockDim.x)) {
    const int y = first_y + i / width;
    const int x = first_x + i % width;
    const bool inside = y >= 0 && y < g.in_height && x >= 0 && x < g.in_width;
    const int64_t pixel = inside ? (static_cast<int64_t>(image) * g.in_height + y) * g.in_width + x : 0;
    copy_async_8(patch + i * kPatchPixelBytes,
                 static_cast<const uint8_t*>(args.input) + pixel * kPatchPixelBytes, inside);
  }
}

/// Low and high bytes of the four values of a pixel, zeros where `tap` is not one of the window's.
__device__ inline void load_pixel(const uint8_t* pixel, bool valid, uint32_t& low, uint32_t& high) {
  const uint2 words = valid ? *reinterpret_cast<const uint2*>(pixel) : uint2{};
  low = __byte_perm(words.x, words.y, 0x6420);
  high = __byte_perm(words.x, words.y, 0x7531);
}

template <class Config, bool wide>
__device__ void finish_patch(const FilterArguments& args, const WarpSums<Config>& sums, int image, int out_y,
                             int out_x, uint8_t* shared) {
  const infer::cuda::FilterGeometry& g = args.geometry;
  finish_whole<Config, wide>(
      args, sums, static_cast<int>(blockIdx.y) * Config::kTileColumns, shared, [&](int tile_row) {
        const int y = out_y + tile_row / kPatchColumns;
        const int x = out_x + tile_row % kPatchColumns;
        return y < g.out_height && x < g.out_width ? (image * g.out_height + y) * g.out_width + x : -1;
      });
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, Config::kBlocks)
    patch_kernel(const __grid_constant__ FilterArguments args) {
  extern __shared__ __align__(128) uint8_t shared[];
  const infer::cuda::FilterGeometry& g = args.geometry;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int tiles_across = (g.out_width + kPatchColumns - 1) / kPatchColumns;
  const int out_y = static_cast<int>(blockIdx.x) / tiles_across * kPatchRows;
  const int out_x = static_cast<int>(blockIdx.x) % tiles_across * kPatchColumns;
  const int image = static_cast<int>(blockIdx.z);
  const int patch_height = (kPatchRows - 1) * g.stride_height + g.kernel_height;
  const int patch_width = (kPatchColumns - 1) * g.stride_width + kPatchTaps;

  start_next_kernel();
  uint8_t* codes = shared;
  uint8_t* patch = shared + Config::kWarpsAcross * args.depth_blocks * block_words(Config::kBits) * 4;
  const int chunks = args.depth_blocks * block_words(Config::kBits) / 4;
  const int64_t first_block = static_cast<int64_t>(blockIdx.y) * Config::kWarpsAcross * args.depth_blocks;
  for (int i = static_cast<int>(threadIdx.x); i < chunks * Config::kWarpsAcross; i += Config::kThreads) {
    copy_async_16(codes + i * 16, args.weights + first_block * block_words(Config::kBits) + i * 4, true);
  }
  wait_for_previous_kernel();
  load_patch(args, image, out_y * g.stride_height - g.padding_height,
             out_x * g.stride_width - g.padding_width, patch_height, patch_width, patch);
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();

  WarpSums<Config> sums;
  const int tap = lane % 4;  // and the one four further on
  for (int y = 0; y < g.kernel_height; ++y) {
    uint32_t rows[2][Config::kRows][4];
#pragma unroll
    for (int m = 0; m < Config::kRows; ++m) {
      const int row = warp / Config::kWarpsAcross * Config::kRows + m;  // of output pixels in the tile
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        const int x = lane / 4 + part % 2 * 8;
        const int column = tap + part / 2 * 4;
        const uint8_t* pixel =
            patch +
            ((row * g.stride_height + y) * patch_width + x * g.stride_width + column) * kPatchPixelBytes;
        load_pixel(pixel, column < g.kernel_width, rows[0][m][part], rows[1][m][part]);
      }
    }
    const auto* block = reinterpret_cast<const uint32_t*>(codes) +
                        (warp % Config::kWarpsAcross * args.depth_blocks + y) * block_words(Config::kBits);
    sums.add(rows, block, lane, args.tables);
  }
  if (args.rescale.wide) {
    finish_patch<Config, true>(args, sums, image, out_y, out_x, shared);
  } else {
    finish_patch<Config, false>(args, sums, image, out_y, out_x, shared);
  }
}

template <int bits>
void run_patch_of(const FilterArguments& args, cudaStream_t stream) {
  using Config = PatchConfig<bits>;
  const infer::cuda::FilterGeometry& g = args.geometry;
  const int bytes = std::max(
      Config::kSumBytes, Config::kWarpsAcross * args.depth_blocks * block_words(bits) * 4 + patch_bytes(g));
  const auto tiles = [](int size, int tile) { return static_cast<unsigned>((size + tile - 1) / tile); };
  const dim3 grid(tiles(g.out_height, kPatchRows) * tiles(g.out_width, kPatchColumns),
                  tiles(args.output_channels, Config::kTileColumns), static_cast<unsigned>(g.images));
  launch(patch_kernel<Config>,
         {.grid = grid, .threads = Config::kThreads, .shared_bytes = static_cast<size_t>(bytes)}, stream,
         args);
}

}  // namespace ds::cuda
