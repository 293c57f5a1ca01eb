// Rung 1, where the DeepShift paper began: multiplications of floats.
//
// Teaches tiling. A thread computes one sum; the 256 threads of a block bring 16 windows and 16 filters to
// shared memory, 16 positions of depth at a time, and each value that came from memory is used 16 times.
// Nothing else is done for speed, as in the paper: a multiply-add waits for two reads of shared memory, and
// the threads of a warp read weights 16 words apart, which lie in two of the 32 banks.
#include "bench/ladder/windows.cuh"

namespace ds::bench::ladder {
namespace {

__global__ void float_kernel(const float* windows, const float* weights, float* sums, int rows, int outputs,
                             int depth) {
  __shared__ float window_tile[kTile][kTile];
  __shared__ float weight_tile[kTile][kTile];
  const int across = static_cast<int>(threadIdx.x);
  const int down = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile + down;
  const int first_output = static_cast<int>(blockIdx.x) * kTile;
  const int filter = first_output + down;
  float sum = 0.0F;
  for (int first = 0; first < depth; first += kTile) {
    const int position = first + across;
    const bool has_window = row < rows && position < depth;
    const bool has_weight = filter < outputs && position < depth;
    window_tile[down][across] = has_window ? windows[static_cast<int64_t>(row) * depth + position] : 0.0F;
    weight_tile[down][across] = has_weight ? weights[static_cast<int64_t>(filter) * depth + position] : 0.0F;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile; ++i) sum += window_tile[down][i] * weight_tile[across][i];
    __syncthreads();
  }
  const int output = first_output + across;
  if (row < rows && output < outputs) sums[static_cast<int64_t>(row) * outputs + output] = sum;
}

}  // namespace

Prepared prepare_float(const Problem& problem, cuda::DeviceMemory& memory) {
  const Windows<float> layer(problem, memory);
  std::vector<float> weights;
  for (const uint8_t code : problem.codes) weights.push_back(static_cast<float>(weight_of(code)));
  const float* uploaded = memory.upload(weights);
  const int outputs = problem.outputs;
  return {.start =
              [=](cudaStream_t stream) {
                layer.start(stream);
                const int rows = layer.geometry.rows();
                start_kernel(float_kernel, tile_grid(rows, outputs), dim3(kTile, kTile), stream,
                             layer.windows, uploaded, layer.sums, rows, outputs, layer.geometry.depth());
              },
          .sums = layer.sums,
          .floats = true};
}

}  // namespace ds::bench::ladder
