// Packed kernels for AVX-512 with VNNI and VBMI.
#define DS_ISA avx512vbmi
#include "infer/cpu/kernels/packed_avx512vnni.inc"
