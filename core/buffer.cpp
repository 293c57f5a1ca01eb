#include "core/buffer.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

#include "core/backend.h"
#include "core/error.h"

namespace ds {
namespace {

constexpr size_t kSmallest = 256;
constexpr size_t kLargeStep = size_t{1} << 20;

size_t block_size(size_t bytes) {
  if (bytes <= kSmallest) return kSmallest;
  if (bytes <= kLargeStep) return std::bit_ceil(bytes);
  return (bytes + kLargeStep - 1) / kLargeStep * kLargeStep;
}

class CachingAllocator {
 public:
  void* take(size_t block, Device device) {
    {
      const std::lock_guard lock(mutex_);
      auto& free_blocks = free_[block];
      if (!free_blocks.empty()) {
        void* data = free_blocks.back();
        free_blocks.pop_back();
        stats_.cached -= block;
        count_use(block);
        return data;
      }
    }
    void* data = backend(device).allocate(block, device.index);
    if (data == nullptr) {  // the cache may hold what is missing
      release(device);
      data = backend(device).allocate(block, device.index);
    }
    DS_CHECK(data != nullptr, "[memory] cannot allocate {} bytes on {}: {} bytes are in use", block,
             device.str(), stats().in_use);
    const std::lock_guard lock(mutex_);
    ++stats_.system_allocations;
    count_use(block);
    return data;
  }

  void give_back(void* data, size_t block) {
    const std::lock_guard lock(mutex_);
    free_[block].push_back(data);
    stats_.in_use -= block;
    stats_.cached += block;
  }

  void release(Device device) {
    const std::lock_guard lock(mutex_);
    for (auto& entry : free_) {
      for (void* data : entry.second) backend(device).release(data, device.index);
    }
    free_.clear();
    stats_.cached = 0;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak_in_use = stats_.in_use;
  }

 private:
  void count_use(size_t block) {
    stats_.in_use += block;
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.in_use);
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

// Never destroyed: buffers with static storage duration may outlive any order of destruction.
CachingAllocator& allocator(Device device) {
  static std::mutex mutex;
  static auto* allocators = new std::map<std::pair<DeviceType, int>, CachingAllocator>();
  const std::lock_guard lock(mutex);
  return (*allocators)[{device.type, device.index}];
}

}  // namespace

std::shared_ptr<Buffer> Buffer::allocate(size_t bytes, Device device) {
  const size_t block = block_size(bytes);
  void* data = allocator(device).take(block, device);
  return std::shared_ptr<Buffer>(new Buffer(data, bytes, block, device));
}

Buffer::~Buffer() { allocator(device_).give_back(data_, block_); }

MemoryStats memory_stats(Device device) { return allocator(device).stats(); }
void reset_peak_memory(Device device) { allocator(device).reset_peak(); }
void release_cached_memory(Device device) { allocator(device).release(device); }

}  // namespace ds
