#include <cmath>
#include <vector>

#include "core/error.h"
#include "cuda/ops/kernels.h"
#include "cuda/ops/reduce.cuh"

namespace ds::cuda {
namespace {

template <class T>
__device__ T warp_max(T value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = max(value, __shfl_xor_sync(~0U, value, distance));
  }
  return value;
}

__device__ double warp_sum(double value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0U, value, distance);
  return value;
}

/// Blocks for one warp a row.
unsigned warp_blocks(int64_t rows) {
  return static_cast<unsigned>((rows * kWarp + kBlockThreads - 1) / kBlockThreads);
}

/// One warp a row: p = softmax(x), and where there are targets the row's part of the loss,
///   sum_c t_c ((max - x_c) + log sum exp(x - max));
/// a target of 0 contributes nothing, also at a logit of -infinity.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    softmax_kernel(int64_t rows, int64_t columns, const T* x, T* p, const T* targets, double* row_loss) {
  const int64_t row = (int64_t{blockIdx.x} * kBlockThreads + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (row >= rows) return;
  x += row * columns;
  p += row * columns;
  T maximum = x[0];
  for (int64_t c = lane; c < columns; c += kWarp) maximum = max(maximum, x[c]);
  maximum = warp_max(maximum);
  double sum = 0.0;
  for (int64_t c = lane; c < columns; c += kWarp) {
    p[c] = exp(x[c] - maximum);
    sum += static_cast<double>(p[c]);
  }
  sum = warp_sum(sum);
  const T inverse = static_cast<T>(1.0 / sum);
  for (int64_t c = lane; c < columns; c += kWarp) p[c] *= inverse;
  if (targets == nullptr) return;
  const T* t = targets + row * columns;
  const T log_sum = static_cast<T>(log(sum));
  double loss = 0.0;
  for (int64_t c = lane; c < columns; c += kWarp) {
    if (t[c] != T{0}) loss += static_cast<double>(t[c]) * static_cast<double>((maximum - x[c]) + log_sum);
  }
  loss = warp_sum(loss);
  if (lane == 0) row_loss[row] = loss;
}

template <class T>
void run_softmax(const Tensor& x, Tensor& p, const T* targets, double* row_loss) {
  const int64_t rows = x.shape().rows();
  if (rows == 0) return;
  const cudaStream_t stream = compute_stream(x);
  softmax_kernel<<<warp_blocks(rows), kBlockThreads, 0, stream>>>(rows, x.size(-1), x.data<T>(), p.data<T>(),
                                                                  targets, row_loss);
  check(cudaGetLastError(), "starting a kernel");
}

template <class T>
struct OneHot {
  const int64_t* label;
  int64_t classes;
  double smoothing;
  T* y;
  __device__ void operator()(int64_t i) const {
    const double share = smoothing / static_cast<double>(classes);
    y[i] = static_cast<T>(label[i / classes] == i % classes ? 1.0 - smoothing + share : share);
  }
};

struct RowLoss {
  const double* loss;
  __device__ double operator()(int64_t row) const { return loss[row]; }
};

/// One warp a row: dx_c = (p_c sum(t) - t_c) dloss / N.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    cross_entropy_backward_kernel(int64_t rows, int64_t columns, const T* dloss, const T* p, const T* t,
                                  T* dx) {
  const int64_t row = (int64_t{blockIdx.x} * kBlockThreads + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (row >= rows) return;
  p += row * columns;
  t += row * columns;
  dx += row * columns;
  double sum = 0.0;
  for (int64_t c = lane; c < columns; c += kWarp) sum += static_cast<double>(t[c]);
  const T total = static_cast<T>(warp_sum(sum));
  const T scale = *dloss / static_cast<T>(rows);
  for (int64_t c = lane; c < columns; c += kWarp) dx[c] = (p[c] * total - t[c]) * scale;
}

}  // namespace

void softmax(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "softmax",
                 [&](auto zero) { run_softmax<decltype(zero)>(x, y, nullptr, nullptr); });
}

void one_hot(const Tensor& labels, double smoothing, Tensor& y) {
  const int64_t classes = y.size(1);
  const std::vector<int64_t> label = labels.to_vector<int64_t>();
  for (size_t row = 0; row < label.size(); ++row) {
    DS_CHECK(label[row] >= 0 && label[row] < classes, "[one_hot] row {} has label {}, expected 0 to {}", row,
             label[row], classes - 1);
  }
  dispatch_float(y.dtype(), "one_hot", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), OneHot<T>{labels.data<int64_t>(), classes, smoothing, y.data<T>()});
  });
}

void cross_entropy(const Tensor& logits, const Tensor& targets, Tensor& loss, Tensor& probabilities) {
  const int64_t rows = logits.size(0);
  Tensor row_loss = Tensor::empty({rows}, DType::kF64, logits.device());
  dispatch_float(logits.dtype(), "cross_entropy", [&](auto zero) {
    using T = decltype(zero);
    run_softmax<T>(logits, probabilities, targets.data<T>(), row_loss.data<double>());
    sum_terms(logits, rows, RowLoss{row_loss.data<double>()}, loss.data<T>(),
              1.0 / static_cast<double>(rows));
  });
}

void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& targets,
                            Tensor& dx) {
  const int64_t rows = dx.size(0);
  if (rows == 0) return;
  dispatch_float(dx.dtype(), "cross_entropy_backward", [&](auto zero) {
    using T = decltype(zero);
    cross_entropy_backward_kernel<<<warp_blocks(rows), kBlockThreads, 0, compute_stream(dx)>>>(
        rows, dx.size(1), dloss.data<T>(), probabilities.data<T>(), targets.data<T>(), dx.data<T>());
    check(cudaGetLastError(), "starting a kernel");
  });
}

}  // namespace ds::cuda
