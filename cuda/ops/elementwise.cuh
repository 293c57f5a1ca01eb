// Kernels that treat every element alike. A body is a struct with an operator()(int64_t element) for the
// device; what it needs are its members.
#pragma once

#include <algorithm>

#include "cuda/check.h"
#include "cuda/compute.h"

namespace ds::cuda {

constexpr int kWarp = 32;
constexpr int kBlockThreads = 256;
constexpr int64_t kMostBlocks = 132 * 16;  // enough for every multiprocessor; loops do the rest

inline unsigned block_count(int64_t threads) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((threads + kBlockThreads - 1) / kBlockThreads, 1, kMostBlocks));
}

template <class Body>
__global__ void __launch_bounds__(kBlockThreads) for_each_kernel(int64_t count, const Body body) {
  const int64_t step = int64_t{gridDim.x} * kBlockThreads;
  for (int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; i < count; i += step) body(i);
}

/// body(i) for every i in [0, count), on the device of a tensor.
template <class Body>
void for_each(const Tensor& on, int64_t count, const Body& body) {
  if (count == 0) return;
  const cudaStream_t stream = compute_stream(on);
  for_each_kernel<<<block_count(count), kBlockThreads, 0, stream>>>(count, body);
  check(cudaGetLastError(), "starting a kernel");
}

}  // namespace ds::cuda
