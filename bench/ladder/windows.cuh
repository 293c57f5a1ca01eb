// im2col, which rungs 1 to 3 begin with: all windows written out in memory, [rows][depth], so that what is
// left is a product of matrices. A pixel of a 3x3 convolution is written nine times.
#pragma once

#include "bench/ladder/problem.h"
#include "bench/ladder/start.cuh"

namespace ds::bench::ladder {

template <class Value>
__global__ void write_windows(infer::cuda::FilterGeometry g, const Value* values, Value* windows) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int depth = g.depth();
  if (index >= static_cast<int64_t>(g.rows()) * depth) return;
  const infer::cuda::WindowOrigin window = infer::cuda::window_origin(g, static_cast<int>(index / depth));
  const int position = static_cast<int>(index % depth);
  const int tap = position / g.channels;
  const int y = window.y + tap / g.kernel_width;
  const int x = window.x + tap % g.kernel_width;
  const bool inside = y >= 0 && y < g.in_height && x >= 0 && x < g.in_width;
  const int64_t pixel = static_cast<int64_t>(window.image) + y * g.in_width + x;
  windows[index] = inside ? values[pixel * g.channels + position % g.channels] : Value{0};
}

/// A layer of rungs 1 to 3 without its weights.
template <class Value>
struct Windows {
  infer::cuda::FilterGeometry geometry;
  const Value* values;
  Value* windows;
  Value* sums;

  Windows(const Problem& problem, cuda::DeviceMemory& memory) : geometry(problem.geometry) {
    values = memory.upload(std::vector<Value>(problem.values.begin(), problem.values.end()));
    const auto rows = static_cast<size_t>(geometry.rows());
    windows =
        static_cast<Value*>(memory.allocate(rows * static_cast<size_t>(geometry.depth()) * sizeof(Value)));
    sums = static_cast<Value*>(memory.allocate(rows * static_cast<size_t>(problem.outputs) * sizeof(Value)));
  }

  void start(cudaStream_t stream) const {
    constexpr int kThreads = 256;
    const int64_t count = static_cast<int64_t>(geometry.rows()) * geometry.depth();
    const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
    start_kernel(write_windows<Value>, blocks, kThreads, stream, geometry, values, windows);
  }
};

/// Of rungs 1 to 3: sums of a thread block, down and across.
inline constexpr int kTile = 16;

inline dim3 tile_grid(int rows, int outputs) { return {parts(outputs, kTile), parts(rows, kTile)}; }

}  // namespace ds::bench::ladder
