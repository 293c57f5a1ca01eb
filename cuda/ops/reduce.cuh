// Sums over all elements, in an order that depends on their number alone: equal bits from run to run.
#pragma once

#include "core/dtype.h"
#include "cuda/ops/elementwise.cuh"

namespace ds::cuda {

/// The sum over the threads of a block, in its first thread.
__device__ inline double block_sum(double value) {
  __shared__ double of_warp[kBlockThreads / kWarp];
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_down_sync(~0U, value, distance);
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = 0.0;
  if (threadIdx.x == 0) {
    for (const double sum : of_warp) value += sum;
  }
  __syncthreads();
  return value;
}

template <class Term>
__global__ void __launch_bounds__(kBlockThreads)
    partial_sums_kernel(int64_t count, const Term term, double* sums) {
  double sum = 0.0;
  const int64_t step = int64_t{gridDim.x} * kBlockThreads;
  for (int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; i < count; i += step) sum += term(i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class Out>
__global__ void __launch_bounds__(kBlockThreads)
    total_kernel(int count, const double* sums, double scale, Out* y) {
  double sum = 0.0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlockThreads) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *y = static_cast<Out>(scale * sum);
}

/// *y = scale * the sum of the doubles term(i) over [0, count).
template <class Term, class Out>
void sum_terms(const Tensor& on, int64_t count, const Term& term, Out* y, double scale = 1.0) {
  constexpr int64_t kTermsOfThread = 16;
  const unsigned blocks = block_count((count + kTermsOfThread - 1) / kTermsOfThread);
  Tensor sums = Tensor::empty({blocks}, DType::kF64, on.device());
  const cudaStream_t stream = compute_stream(on);
  partial_sums_kernel<<<blocks, kBlockThreads, 0, stream>>>(count, term, sums.data<double>());
  total_kernel<<<1, kBlockThreads, 0, stream>>>(static_cast<int>(blocks), sums.data<double>(), scale, y);
  check(cudaGetLastError(), "starting a kernel");
}

}  // namespace ds::cuda
