// Winograd transforms for avx512 whose inputs and gradients become bf16 values, without instructions for
// them.
#define DS_ISA avx512_bf16_by_f32
#define DS_BF16
#define DS_LANES 16
#include "core/cpu/kernels/winograd.inc"
