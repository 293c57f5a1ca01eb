// Where the operations of core/ops.def run on a CUDA device: one stream a device, in which kernels follow
// each other in the order of their calls. Memory that is given back while a kernel still reads it is safe for
// that reason: whoever gets it next writes to it later in the same stream.
#pragma once

#include <cuda_runtime.h>

#include "core/tensor.h"

namespace ds::cuda {

/// Selects the device and returns its stream.
cudaStream_t compute_stream(int index);
inline cudaStream_t compute_stream(const Tensor& of) { return compute_stream(of.device().index); }

}  // namespace ds::cuda
