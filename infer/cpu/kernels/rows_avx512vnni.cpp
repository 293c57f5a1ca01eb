// Row kernels for AVX-512 with VNNI.
#define DS_ISA avx512vnni
#include "infer/cpu/kernels/rows_avx512vnni.inc"
