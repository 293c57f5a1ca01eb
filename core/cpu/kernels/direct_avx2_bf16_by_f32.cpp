// Direct convolution kernels for avx2 with pairs of bf16 values, without instructions for them.
#define DS_ISA avx2_bf16_by_f32
#define DS_BF16
#define DS_LANES 8
#define DS_TILE_1 10
#define DS_TILE_2 4
#define DS_WEIGHT_TILE_1 10
#define DS_WEIGHT_TILE_2 4
#include "core/cpu/kernels/direct.inc"
