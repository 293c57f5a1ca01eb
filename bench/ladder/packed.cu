// Rung 3, how the paper's published kernel reads its weights: codes of 4 bits, eight in a word.
//
// Teaches that fewer bytes are what powers of two are good for on a GPU. Weights are an eighth of rung 1's
// and a sixteenth of rung 2's, in memory and, because codes stay packed until they are used, in shared
// memory: a thread reads one word for eight weights, so that the reads of rung 1 that collide in the banks
// are eight times fewer, and a step reaches eight times further, with as many fewer waits for each other.
// The price is decoding, by every thread for itself: instructions that neither shift nor add.
#include "bench/ladder/windows.cuh"

namespace ds::bench::ladder {
namespace {

constexpr int kCodes = 8;  // in a word
constexpr int kStep = kTile * kCodes;

__global__ void packed_kernel(const int32_t* windows, const uint32_t* codes, int32_t* sums, int rows,
                              int outputs, int depth) {
  __shared__ int32_t window_tile[kTile][kStep];
  __shared__ uint32_t code_tile[kTile][kTile];
  const int across = static_cast<int>(threadIdx.x);
  const int down = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile + down;
  const int first_output = static_cast<int>(blockIdx.x) * kTile;
  const int filter = first_output + down;
  const int words = (depth + kCodes - 1) / kCodes;  // of a filter
  int32_t sum = 0;
  for (int first = 0; first < depth; first += kStep) {
#pragma unroll
    for (int i = across; i < kStep; i += kTile) {
      const bool has_window = row < rows && first + i < depth;
      window_tile[down][i] = has_window ? windows[static_cast<int64_t>(row) * depth + first + i] : 0;
    }
    const int word = first / kCodes + across;
    const bool has_codes = filter < outputs && word < words;
    code_tile[down][across] = has_codes ? codes[static_cast<int64_t>(filter) * words + word] : 0;
    __syncthreads();
#pragma unroll 4
    for (int i = 0; i < kTile; ++i) {
      const uint32_t eight = code_tile[across][i];
#pragma unroll
      for (int j = 0; j < kCodes; ++j) {
        const uint32_t magnitude = eight >> (4 * j) & 7;
        const bool negative = (eight >> (4 * j) & 8) != 0;
        const int32_t shifted = magnitude == 0 ? 0 : window_tile[down][i * kCodes + j] << (magnitude - 1);
        sum = negative ? sum - shifted : sum + shifted;
      }
    }
    __syncthreads();
  }
  const int output = first_output + across;
  if (row < rows && output < outputs) sums[static_cast<int64_t>(row) * outputs + output] = sum;
}

/// [outputs][words of a filter].
std::vector<uint32_t> pack(const Problem& problem) {
  const auto depth = static_cast<size_t>(problem.geometry.depth());
  const size_t words = (depth + kCodes - 1) / kCodes;
  std::vector<uint32_t> packed(static_cast<size_t>(problem.outputs) * words);
  for (size_t i = 0; i < problem.codes.size(); ++i) {
    const size_t position = i % depth;
    packed[i / depth * words + position / kCodes] |= uint32_t{problem.codes[i]} << (4 * (position % kCodes));
  }
  return packed;
}

}  // namespace

Prepared prepare_packed(const Problem& problem, cuda::DeviceMemory& memory) {
  const Windows<int32_t> layer(problem, memory);
  const uint32_t* codes = memory.upload(pack(problem));
  const int outputs = problem.outputs;
  return {.start =
              [=](cudaStream_t stream) {
                layer.start(stream);
                const int rows = layer.geometry.rows();
                start_kernel(packed_kernel, tile_grid(rows, outputs), dim3(kTile, kTile), stream,
                             layer.windows, codes, layer.sums, rows, outputs, layer.geometry.depth());
              },
          .sums = layer.sums};
}

}  // namespace ds::bench::ladder
