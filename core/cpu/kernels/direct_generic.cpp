// Direct convolution kernels for generic.
#define DS_ISA generic
#define DS_LANES 4
#define DS_TILE_1 6
#define DS_TILE_2 4
#define DS_WEIGHT_TILE_1 6
#define DS_WEIGHT_TILE_2 4
#include "core/cpu/kernels/direct.inc"
