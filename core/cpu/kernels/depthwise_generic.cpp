// Depthwise kernels for generic.
#define DS_ISA generic
#define DS_LANES 4
#include "core/cpu/kernels/depthwise.inc"
