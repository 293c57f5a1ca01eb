// Packed kernels for AVX-512 with VNNI.
#define DS_ISA avx512vnni
#include "infer/cpu/kernels/packed_avx512vnni.inc"
