// Starts a kernel after all that stands before it in the stream.
#pragma once

#include "cuda/check.h"

namespace ds::bench::ladder {

template <class... Parameters, class... Arguments>
void start_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 threads, cudaStream_t stream,
                  const Arguments&... arguments) {
  kernel<<<grid, threads, 0, stream>>>(arguments...);
  cuda::check(cudaGetLastError(), "starting a kernel");
}

inline unsigned parts(int size, int part) { return static_cast<unsigned>((size + part - 1) / part); }

}  // namespace ds::bench::ladder
