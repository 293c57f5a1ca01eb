// Which instruction set the native kernels use: the best this processor has, or DEEPSHIFT_ISA.
#pragma once

#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/cpu/kernels/depthwise.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/winograd.h"

namespace ds::cpu {

enum class Isa : uint8_t { kGeneric, kAvx2, kAvx512 };

std::string_view name_of(Isa isa);
/// Instruction sets that this processor has, best first; the last is generic.
std::vector<Isa> available_isas();
/// The one in use. At first DEEPSHIFT_ISA (generic, avx2, avx512) or the best; throws Error when that is not
/// available.
Isa isa();
void set_isa(Isa isa);

const DepthwiseKernels& depthwise_kernels();
/// Of f32 or of bf16.
const DirectKernels& direct_kernels(Precision precision = Precision::kF32);
const WinogradKernels& winograd_kernels(Precision precision = Precision::kF32);
/// Whether the kernels of bf16 are those of AVX512-BF16: the instruction set in use is avx512, and the
/// processor has that extension. Others give what it gives by f32 arithmetic, slower than the
/// kernels of f32.
bool has_bf16_instructions();

}  // namespace ds::cpu
