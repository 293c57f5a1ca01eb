// Depthwise kernels for avx512.
#define DS_ISA avx512
#define DS_LANES 16
#include "core/cpu/kernels/depthwise.inc"
