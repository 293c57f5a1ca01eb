// Device memory, kept and handed out again by a caching allocator.
//
// A released block is kept instead of going back to the system, so that a steady training step allocates
// nothing: up to 1 MiB in a list of its size class (powers of two), larger ones as parts of segments
// (core/block_pool.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/device.h"

namespace ds {

/// One block of memory on a device; returned to the allocator's cache when destroyed. Aligned to 64 bytes on
/// the CPU.
class Buffer {
 public:
  /// Throws Error naming the size and the device when memory runs out.
  static std::shared_ptr<Buffer> allocate(size_t bytes, Device device);

  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  void* data() { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  Buffer(void* data, size_t bytes, size_t block, Device device)
      : data_(data), bytes_(bytes), block_(block), device_(device) {}

  void* data_;
  size_t bytes_;
  size_t block_;  // bytes of the block behind it, at least bytes_
  Device device_;
};

/// What the allocator of one device holds, in bytes.
struct MemoryStats {
  size_t in_use = 0;               // held by living buffers
  size_t cached = 0;               // free, kept for reuse, and on the CPU partly never touched
  size_t peak_in_use = 0;          // highest in_use since reset_peak_memory()
  int64_t system_allocations = 0;  // blocks and segments asked of the system so far
};

MemoryStats memory_stats(Device device = {});
void reset_peak_memory(Device device = {});
/// Gives cached blocks of up to 1 MiB back to the system, and the segments of which nothing is in use; of
/// other segments, on the CPU, the pages that nothing uses.
void release_cached_memory(Device device = {});

}  // namespace ds
