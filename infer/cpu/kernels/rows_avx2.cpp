// Row kernels for AVX2.
#define DS_ISA avx2
#include "infer/cpu/kernels/rows.inc"
