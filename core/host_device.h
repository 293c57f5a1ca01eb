// How functions are marked that run on the host and on CUDA devices: one definition serves both, and is
// tested where there is no GPU.
#pragma once

#ifdef __CUDACC__
#define DS_HOST_DEVICE __host__ __device__
#else
#define DS_HOST_DEVICE
#endif
