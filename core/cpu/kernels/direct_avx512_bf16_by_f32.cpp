// Direct convolution kernels for avx512 with pairs of bf16 values, without instructions for them.
#define DS_ISA avx512_bf16_by_f32
#define DS_BF16
#define DS_LANES 16
#define DS_TILE_1 16
#define DS_TILE_2 12
#define DS_WEIGHT_TILE_1 16
#define DS_WEIGHT_TILE_2 12
#include "core/cpu/kernels/direct.inc"
