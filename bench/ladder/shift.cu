// Rung 2, the paper's idea: a weight is a shift and a sign, and nothing is multiplied but by -1, 0 or 1.
//
// Teaches that what is cheap in a circuit need not be cheap on a GPU. The kernel is rung 1 with another inner
// loop. A multiplication and its addition are one instruction, at full speed; a shift and a signed addition
// are two, at half of it. And a weight, two integers of 32 bits here, is twice the bytes to read.
#include "bench/ladder/windows.cuh"

namespace ds::bench::ladder {
namespace {

__global__ void shift_kernel(const int32_t* windows, const int32_t* shifts, const int32_t* signs,
                             int32_t* sums, int rows, int outputs, int depth) {
  __shared__ int32_t window_tile[kTile][kTile];
  __shared__ int32_t shift_tile[kTile][kTile];
  __shared__ int32_t sign_tile[kTile][kTile];
  const int across = static_cast<int>(threadIdx.x);
  const int down = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile + down;
  const int first_output = static_cast<int>(blockIdx.x) * kTile;
  const int filter = first_output + down;
  int32_t sum = 0;
  for (int first = 0; first < depth; first += kTile) {
    const int position = first + across;
    const bool has_window = row < rows && position < depth;
    const bool has_weight = filter < outputs && position < depth;
    const int64_t weight = static_cast<int64_t>(filter) * depth + position;
    window_tile[down][across] = has_window ? windows[static_cast<int64_t>(row) * depth + position] : 0;
    shift_tile[down][across] = has_weight ? shifts[weight] : 0;
    sign_tile[down][across] = has_weight ? signs[weight] : 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kTile; ++i) {
      sum += sign_tile[across][i] * (window_tile[down][i] << shift_tile[across][i]);
    }
    __syncthreads();
  }
  const int output = first_output + across;
  if (row < rows && output < outputs) sums[static_cast<int64_t>(row) * outputs + output] = sum;
}

}  // namespace

Prepared prepare_shift(const Problem& problem, cuda::DeviceMemory& memory) {
  const Windows<int32_t> layer(problem, memory);
  std::vector<int32_t> shifts;
  std::vector<int32_t> signs;
  for (const uint8_t code : problem.codes) {
    const ShiftAndSign weight = shift_and_sign(code);
    shifts.push_back(weight.shift);
    signs.push_back(weight.sign);
  }
  const int32_t* uploaded_shifts = memory.upload(shifts);
  const int32_t* uploaded_signs = memory.upload(signs);
  const int outputs = problem.outputs;
  return {.start =
              [=](cudaStream_t stream) {
                layer.start(stream);
                const int rows = layer.geometry.rows();
                start_kernel(shift_kernel, tile_grid(rows, outputs), dim3(kTile, kTile), stream,
                             layer.windows, uploaded_shifts, uploaded_signs, layer.sums, rows, outputs,
                             layer.geometry.depth());
              },
          .sums = layer.sums};
}

}  // namespace ds::bench::ladder
