#include "cuda/launch.h"

#include <map>
#include <mutex>

namespace ds::cuda {

bool compiled_for_hopper(const void* kernel) {
  static std::mutex mutex;
  static auto* known = new std::map<std::pair<int, const void*>, bool>();
  int device = 0;
  check(cudaGetDevice(&device), "asking for the device in use");
  const std::pair key{device, kernel};
  const std::lock_guard lock(mutex);
  const auto found = known->find(key);
  if (found != known->end()) return found->second;
  cudaFuncAttributes attributes = {};
  check(cudaFuncGetAttributes(&attributes, kernel), "asking for what a kernel was compiled for");
  return known->emplace(key, attributes.ptxVersion >= 90).first->second;
}

}  // namespace ds::cuda
