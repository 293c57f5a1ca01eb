// Depthwise kernels for avx2.
#define DS_ISA avx2
#define DS_LANES 8
#include "core/cpu/kernels/depthwise.inc"
