// Winograd transforms for avx512 whose inputs and gradients become bf16 values.
#define DS_ISA avx512_bf16
#define DS_BF16
#define DS_BF16_INSTRUCTIONS
#define DS_LANES 16
#include "core/cpu/kernels/winograd.inc"
