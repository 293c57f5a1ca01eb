#include "cuda/compute.h"

#include "cuda/check.h"
#include "cuda/per_device.h"

namespace ds::cuda {

cudaStream_t compute_stream(int index) {
  static auto* streams = new PerDevice<cudaStream_t>();
  check(cudaSetDevice(index), "selecting the device");
  return streams->get(index, [] {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    return stream;
  });
}

}  // namespace ds::cuda
