// Direct convolution kernels for avx512.
#define DS_ISA avx512
#define DS_LANES 16
#define DS_TILE_1 16
#define DS_TILE_2 12
#define DS_WEIGHT_TILE_1 16
#define DS_WEIGHT_TILE_2 12
#include "core/cpu/kernels/direct.inc"
