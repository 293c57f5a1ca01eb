// Direct convolution kernels for avx2.
#define DS_ISA avx2
#define DS_LANES 8
#define DS_TILE_1 12
#define DS_TILE_2 6
#define DS_WEIGHT_TILE_1 12
#define DS_WEIGHT_TILE_2 6
#include "core/cpu/kernels/direct.inc"
