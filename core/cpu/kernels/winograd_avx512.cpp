// Winograd transforms for avx512.
#define DS_ISA avx512
#define DS_LANES 16
#include "core/cpu/kernels/winograd.inc"
