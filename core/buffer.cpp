#include "core/buffer.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <vector>

#include "core/backend.h"
#include "core/block_pool.h"
#include "core/error.h"

#if defined(__has_feature)  // by clang alone
#define DS_HAS_FEATURE(name) __has_feature(name)
#else
#define DS_HAS_FEATURE(name) 0
#endif

namespace ds {
namespace {

constexpr size_t kSmallest = 256;
constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kLargeStep = size_t{64} << 10;
// Asked of the system for large blocks; for one that is larger, its own size.
constexpr size_t kSegment = size_t{256} << 20;

// The address sanitizer sees what is written beyond a block only where each is of its own.
#if defined(__SANITIZE_ADDRESS__) || DS_HAS_FEATURE(address_sanitizer)
constexpr bool kCutSegments = false;
#else
constexpr bool kCutSegments = true;
#endif

size_t block_size(size_t bytes) {
  if (bytes <= kSmallest) return kSmallest;
  if (bytes <= kLarge) return std::bit_ceil(bytes);
  return (bytes + kLargeStep - 1) / kLargeStep * kLargeStep;
}

bool is_cut(size_t block) { return kCutSegments && block > kLarge; }

class CachingAllocator {
 public:
  void* take(size_t block, Device device) {
    const std::lock_guard lock(mutex_);
    void* data = reuse(block);
    if (data == nullptr) {
      grow(block, device);
      data = reuse(block);
    }
    stats_.cached -= block;
    stats_.in_use += block;
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.in_use);
    return data;
  }

  void give_back(void* data, size_t block) {
    const std::lock_guard lock(mutex_);
    if (is_cut(block)) {
      pool_.give_back(static_cast<char*>(data), block);
    } else {
      free_[block].push_back(data);
    }
    stats_.in_use -= block;
    stats_.cached += block;
  }

  void release(Device device) {
    const std::lock_guard lock(mutex_);
    release_free(device);
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
  /// A cached block, or null.
  void* reuse(size_t block) {
    if (is_cut(block)) return pool_.take(block);
    auto& free_blocks = free_[block];
    if (free_blocks.empty()) return nullptr;
    void* data = free_blocks.back();
    free_blocks.pop_back();
    return data;
  }

  /// Asks the system for what `block` can be taken from.
  void grow(size_t block, Device device) {
    size_t size = is_cut(block) ? std::max(block, kSegment) : block;
    void* data = backend(device).allocate(size, device.index);
    if (data == nullptr && size > block) {
      size = block;
      data = backend(device).allocate(size, device.index);
    }
    if (data == nullptr) {  // the cache may hold what is missing
      release_free(device);
      data = backend(device).allocate(size, device.index);
    }
    DS_CHECK(data != nullptr, "[memory] cannot allocate {} bytes on {}: {} bytes are in use", block,
             device.str(), stats_.in_use);
    if (is_cut(block)) {
      pool_.add_segment(static_cast<char*>(data), size);
    } else {
      free_[block].push_back(data);
    }
    ++stats_.system_allocations;
    stats_.cached += size;
  }

  void release_free(Device device) {
    for (auto& [block, blocks] : free_) {
      stats_.cached -= block * blocks.size();
      for (void* data : blocks) backend(device).release(data, device.index);
    }
    free_.clear();
    for (const auto& [data, size] : pool_.remove_free_segments()) {
      stats_.cached -= size;
      backend(device).release(data, device.index);
    }
    if (backend(device).discard == nullptr) return;
    for (const auto& [data, size] : pool_.free_parts()) backend(device).discard(data, size);
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  BlockPool pool_;
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
