// Row kernels for AVX-512 with VNNI and VBMI.
#define DS_ISA avx512vbmi
#include "infer/cpu/kernels/rows_avx512vnni.inc"
