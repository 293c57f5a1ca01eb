// Turns errors of the CUDA runtime into ds::Error.
#pragma once

#include <cuda_runtime.h>

#include "core/error.h"

namespace ds::cuda {

/// Throws Error naming what was attempted and the runtime's own words, unless the status is success. An error
/// that is reported here is not found again by whoever asks for the last one.
inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) cudaGetLastError();
  DS_CHECK(status == cudaSuccess, "[cuda] {}: {}", what, cudaGetErrorString(status));
}

}  // namespace ds::cuda
