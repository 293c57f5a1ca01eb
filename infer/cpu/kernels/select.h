// The integer kernels of the instruction set in use (core/cpu/kernels/select.h).
#pragma once

#include <string_view>

#include "infer/cpu/kernels/packed.h"
#include "infer/cpu/kernels/rows.h"

namespace ds::infer {

struct IntegerKernels {
  std::string_view name;  // "avx512vnni", "avx2", "generic"
  const PackedKernels* packed;
  const RowKernels* rows;
};

/// Those of cpu::isa(): avx512 needs VNNI and VBMI too, and falls back to avx2 without.
const IntegerKernels& integer_kernels();

}  // namespace ds::infer
