// Starting kernels that may prepare while the one before still runs (wait_for_previous_kernel in
// cuda/ptx.cuh).
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "cuda/check.h"

namespace ds::cuda {

struct LaunchShape {
  dim3 grid = 1;
  unsigned threads = 256;
  size_t shared_bytes = 0;
  unsigned cluster = 1;  // thread blocks along x that see each other's shared memory
};

/// Whether the code of a kernel that runs on the device in use was compiled for Hopper or later. Code for
/// devices before neither waits for the kernel before nor knows clusters, whatever device a driver translates
/// it for.
bool compiled_for_hopper(const void* kernel);

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
            Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  // It may begin before the kernel before has ended where it waits for that itself.
  if (compiled_for_hopper(reinterpret_cast<const void*>(kernel))) {
    cudaLaunchAttribute& early = attributes[count++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    cudaLaunchAttribute& cluster = attributes[count++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = shape.cluster;
    cluster.val.clusterDim.y = 1;
    cluster.val.clusterDim.z = 1;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), "starting a kernel");
}

}  // namespace ds::cuda
