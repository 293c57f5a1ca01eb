// The kernels of the CPU, one function a row of core/ops.def, which says what each computes and where it is
// written.
#pragma once

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

#define DS_OP(name, arguments, cuda) void name arguments;
#include "core/ops.def"
#undef DS_OP

}  // namespace ds::cpu
