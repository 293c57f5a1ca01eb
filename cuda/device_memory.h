// Arrays on a CUDA device that live as long as a plan.
#pragma once

#include <memory>
#include <vector>

#include "core/backend.h"
#include "core/buffer.h"

namespace ds::cuda {

class DeviceMemory {
 public:
  explicit DeviceMemory(Device device) : device_(device) {}

  Device device() const { return device_; }

  /// Of so many bytes, not set to anything.
  void* allocate(size_t bytes) {
    buffers_.push_back(Buffer::allocate(bytes, device_));
    return buffers_.back()->data();
  }
  void* zeros(size_t bytes) { return upload(std::vector<uint8_t>(bytes)); }
  /// Null for none.
  template <class T>
  T* upload(const std::vector<T>& values) {
    if (values.empty()) return nullptr;
    const size_t bytes = values.size() * sizeof(T);
    void* data = allocate(bytes);
    copy_bytes(data, device_, values.data(), {}, bytes);
    return static_cast<T*>(data);
  }

 private:
  Device device_;
  std::vector<std::shared_ptr<Buffer>> buffers_;
};

}  // namespace ds::cuda
