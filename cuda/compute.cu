#include "cuda/compute.h"

#include <array>
#include <mutex>

#include "cuda/check.h"

namespace ds::cuda {

cudaStream_t compute_stream(int index) {
  constexpr int kMaxDevices = 64;
  static std::array<cudaStream_t, kMaxDevices> streams{};
  static std::mutex mutex;
  check(cudaSetDevice(index), "selecting the device");
  DS_CHECK(index < kMaxDevices, "[cuda] device {}, expected at most {} devices", index, kMaxDevices);
  const std::lock_guard lock(mutex);
  cudaStream_t& stream = streams[static_cast<size_t>(index)];
  if (stream == nullptr) check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return stream;
}

}  // namespace ds::cuda
