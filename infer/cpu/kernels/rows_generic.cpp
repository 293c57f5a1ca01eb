// Row kernels for any processor.
#define DS_ISA generic
#include "infer/cpu/kernels/rows.inc"
