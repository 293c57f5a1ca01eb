// Which integer kernels run: those of the instruction set in use (core/cpu/kernels/select.h).
#pragma once

#include <string_view>
#include <vector>

#include "core/cpu/kernels/select.h"
#include "infer/cpu/kernels/packed.h"
#include "infer/cpu/kernels/rows.h"

namespace ds::infer {

struct IntegerKernels {
  std::string_view name;  // "avx512vbmi", "avx512vnni", "avx2", "generic"
  cpu::Isa isa;
  const PackedKernels* packed;
  const RowKernels* rows;
};

/// Those that this processor runs, best first; the last is generic. The instruction set avx512 has kernels
/// for VNNI with VBMI and without, and none without VNNI.
std::vector<const IntegerKernels*> available_integer_kernels();
/// The best of cpu::isa() or, where it has none, of the next lower set.
const IntegerKernels& integer_kernels();

}  // namespace ds::infer
