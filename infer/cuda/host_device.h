// Functions that the host can run as well, so that they are tested where there is no GPU.
#pragma once

#ifdef __CUDACC__
#define DS_HOST_DEVICE __host__ __device__
#else
#define DS_HOST_DEVICE
#endif
