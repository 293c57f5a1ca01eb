// Direct convolution kernels for generic with pairs of bf16 values, without instructions for them.
#define DS_ISA generic_bf16_by_f32
#define DS_BF16
#define DS_LANES 4
#define DS_TILE_1 6
#define DS_TILE_2 3
#define DS_WEIGHT_TILE_1 6
#define DS_WEIGHT_TILE_2 3
#include "core/cpu/kernels/direct.inc"
