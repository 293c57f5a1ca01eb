// Winograd transforms for generic whose inputs and gradients become bf16 values, without instructions for
// them.
#define DS_ISA generic_bf16_by_f32
#define DS_BF16
#define DS_LANES 4
#include "core/cpu/kernels/winograd.inc"
