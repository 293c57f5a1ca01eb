// Products of matrices by cuBLAS. It counts columns first, so the transposed product is asked for: y^T = b^T
// a^T.
#include <cublas_v2.h>

#include <algorithm>
#include <limits>

#include "core/backend.h"
#include "cuda/compute.h"
#include "cuda/ops/kernels.h"
#include "cuda/per_device.h"

namespace ds::cuda {
namespace {

void check_cublas(cublasStatus_t status, const char* what) {
  DS_CHECK(status == CUBLAS_STATUS_SUCCESS, "[cublas] {}: {}", what, cublasGetStatusString(status));
}

cublasHandle_t handle_of(int index) {
  static auto* handles = new PerDevice<cublasHandle_t>();
  const cudaStream_t stream = compute_stream(index);
  return handles->get(index, [&] {
    cublasHandle_t handle = nullptr;
    check_cublas(cublasCreate(&handle), "starting");
    check_cublas(cublasSetStream(handle, stream), "choosing a stream");
    return handle;
  });
}

int narrow(int64_t size) {
  DS_CHECK(size <= std::numeric_limits<int>::max(), "[gemm] {} rows or columns, expected at most {}", size,
           std::numeric_limits<int>::max());
  return static_cast<int>(size);
}

cublasComputeType_t compute_type() {
  switch (precision()) {
    case Precision::kF32: return CUBLAS_COMPUTE_32F;
    case Precision::kTf32: return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::kBf16: return CUBLAS_COMPUTE_32F_FAST_16BF;
  }
  return CUBLAS_COMPUTE_32F;
}

}  // namespace

void gemm(const Tensor& a, const Tensor& b, const GemmOptions& options, Tensor& y) {
  const int rows = narrow(y.size(0));
  const int columns = narrow(y.size(1));
  const int inner = narrow(a.size(options.transpose_a ? 0 : 1));
  if (y.numel() == 0) return;
  if (inner == 0) return y.fill(0.0);  // the sum of no products
  const cublasHandle_t handle = handle_of(y.device().index);
  const cublasOperation_t of_a = options.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t of_b = options.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const int stride_a = std::max(1, narrow(a.size(1)));
  const int stride_b = std::max(1, narrow(b.size(1)));
  if (y.dtype() == DType::kF64) {
    const double zero = 0.0;
    check_cublas(cublasDgemm(handle, of_b, of_a, columns, rows, inner, &options.alpha, b.data<double>(),
                             stride_b, a.data<double>(), stride_a, &zero, y.data<double>(), columns),
                 "multiplying matrices");
    return;
  }
  const auto alpha = static_cast<float>(options.alpha);
  const float zero = 0.0F;
  check_cublas(cublasGemmEx(handle, of_b, of_a, columns, rows, inner, &alpha, b.data<float>(), CUDA_R_32F,
                            stride_b, a.data<float>(), CUDA_R_32F, stride_a, &zero, y.data<float>(),
                            CUDA_R_32F, columns, compute_type(), CUBLAS_GEMM_DEFAULT),
               "multiplying matrices");
}

}  // namespace ds::cuda
