// The kernels of CUDA devices, one function a row of core/ops.def that has one: `ds::cuda::<name>` in the .cu
// file of its family.
#pragma once

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cuda {

#define DS_DECLARE_kCudaKernel(name, arguments) void name arguments;
#define DS_DECLARE_kCpuOnly(name, arguments)
#define DS_OP(name, arguments, cuda) DS_DECLARE_##cuda(name, arguments)
#include "core/ops.def"
#undef DS_OP
#undef DS_DECLARE_kCudaKernel
#undef DS_DECLARE_kCpuOnly

}  // namespace ds::cuda
