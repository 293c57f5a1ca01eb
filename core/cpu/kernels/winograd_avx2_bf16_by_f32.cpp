// Winograd transforms for avx2 whose inputs and gradients become bf16 values, without instructions for them.
#define DS_ISA avx2_bf16_by_f32
#define DS_BF16
#define DS_LANES 8
#include "core/cpu/kernels/winograd.inc"
