// Rung 5: codes become bytes, and one instruction (dp4a) does four multiply-adds of bytes.
//
// Teaches to use the arithmetic that the device has. This multiplies: 0, +-1 .. +-64 fit a byte, and the
// device multiplies four pairs of bytes and adds the products in the time of one shift. What powers of two
// still save is memory: weights travel as 4 bits and become bytes when they reach shared memory, looked up
// four at a time by an instruction that picks bytes (`prmt`). The rest is rung 4, with a quarter of the reads
// of shared memory.
#include "bench/ladder/tiles.cuh"
#include "infer/cuda/fragment.h"

namespace ds::bench::ladder {
namespace {

/// The bytes of four of a word's eight codes. Nibbles' low three bits look up magnitudes, and so they do in
/// the same table of negative ones; the highest bits, brought to the ends of bytes, choose.
__device__ uint32_t decode_four(uint32_t word, int half) {
  using infer::cuda::select_bytes;
  const uint32_t selector = (word & 0x77777777) >> (16 * half);
  const uint32_t positive = select_bytes(0x04020100, 0x40201008, selector);
  const uint32_t negative = select_bytes(0xFCFEFF00, 0xC0E0F0F8, selector);
  const uint32_t mask = select_bytes(word << 4, word, half == 0 ? 0xD9C8 : 0xFBEA);
  return infer::cuda::choose(mask, positive, negative);
}

/// sum + the four products of unsigned values and signed weights; CUDA has no function for the pair.
__device__ int32_t dot(uint32_t values, uint32_t weights, int32_t sum) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(values), "r"(weights));
  return sum;
}

__device__ void add_step(const uint32_t (&values)[kQuads][kRows], const uint32_t (&weights)[kQuads][kColumns],
                         int32_t (&sums)[kSide][kSide]) {
#pragma unroll
  for (int q = 0; q < kQuads; ++q) {
    const uint4 four_values = *reinterpret_cast<const uint4*>(&values[q][own_row()]);
    const uint4 four_weights = *reinterpret_cast<const uint4*>(&weights[q][own_column()]);
    const uint32_t value[kSide] = {four_values.x, four_values.y, four_values.z, four_values.w};
    const uint32_t weight[kSide] = {four_weights.x, four_weights.y, four_weights.z, four_weights.w};
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
#pragma unroll
      for (int j = 0; j < kSide; ++j) sums[i][j] = dot(value[i], weight[j], sums[i][j]);
    }
  }
}

__global__ void __launch_bounds__(kThreads) dot_product_kernel(const __grid_constant__ TileArguments args) {
  __shared__ alignas(16) uint32_t values[kQuads][kRows];
  __shared__ alignas(16) uint32_t weights[kQuads][kColumns];
  const int first_row = static_cast<int>(blockIdx.x) * kRows;
  const int first_output = static_cast<int>(blockIdx.y) * kColumns;
  const int column = static_cast<int>(threadIdx.x) % kColumns;
  const int word_down = static_cast<int>(threadIdx.x) / kColumns;
  const Steps steps(args.steps);
  WindowWords windows(args, first_row, steps.first);
  int32_t sums[kSide][kSide] = {};
  for (int step = steps.first; step < steps.end; ++step) {
    uint32_t words[kLoads];
    windows.read(words);
    const int64_t down = static_cast<int64_t>(step) * (kDepth / kCodes) + word_down;
    const uint32_t eight = args.codes[down * args.filled_outputs + first_output + column];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) values[WindowWords::quad(i)][WindowWords::row()] = words[i];
#pragma unroll
    for (int half = 0; half < 2; ++half) weights[word_down * 2 + half][column] = decode_four(eight, half);
    __syncthreads();
    add_step(values, weights, sums);
    __syncthreads();
  }
  store_sums(args, first_row, first_output, sums);
}

/// [words of eight positions of depth][outputs], filled up to whole tiles.
std::vector<uint32_t> pack(const Problem& problem, const TileArguments& args) {
  const auto depth = static_cast<size_t>(problem.geometry.depth());
  const auto outputs = static_cast<size_t>(args.filled_outputs);
  std::vector<uint32_t> packed(static_cast<size_t>(args.steps) * (kDepth / kCodes) * outputs);
  for (size_t i = 0; i < problem.codes.size(); ++i) {
    const size_t position = i % depth;
    packed[position / kCodes * outputs + i / depth] |= uint32_t{problem.codes[i]}
                                                       << (4 * (position % kCodes));
  }
  return packed;
}

}  // namespace

Prepared prepare_dot_product(const Problem& problem, cuda::DeviceMemory& memory) {
  return prepare_tiles(problem, memory, dot_product_kernel, pack);
}

}  // namespace ds::bench::ladder
