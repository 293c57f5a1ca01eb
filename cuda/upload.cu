#include "cuda/upload.h"

#include <cstring>
#include <memory>

#include "cuda/compute.h"
#include "cuda/stream.h"

namespace ds::cuda {
namespace {

/// Memory that the device reads without help of the processor.
class PinnedMemory {
 public:
  ~PinnedMemory() { cudaFreeHost(data_); }
  PinnedMemory() = default;
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  void* of(size_t bytes) {
    if (bytes > bytes_) {
      cudaFreeHost(data_);
      data_ = nullptr;
      bytes_ = 0;
      check(cudaMallocHost(&data_, bytes), "allocating pinned memory");
      bytes_ = bytes;
    }
    return data_;
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

/// What a thread uploads with to one device.
struct Uploader {
  int index = 0;
  Stream stream;
  Event event;
  PinnedMemory pinned;
};

Uploader& uploader(int index) {
  thread_local std::unique_ptr<Uploader> own;
  if (own == nullptr || own->index != index) {
    own.reset();
    own = std::make_unique<Uploader>();
    own->index = index;
  }
  return *own;
}

}  // namespace

void upload(void* target, const void* source, size_t bytes, int index) {
  const cudaStream_t compute = compute_stream(index);
  Uploader& own = uploader(index);
  void* staged = own.pinned.of(bytes);
  std::memcpy(staged, source, bytes);
  check(cudaEventRecord(own.event.get(), compute), "recording an event");
  check(cudaStreamWaitEvent(own.stream.get(), own.event.get()), "waiting for an event");
  check(cudaMemcpyAsync(target, staged, bytes, cudaMemcpyHostToDevice, own.stream.get()), "copying memory");
  own.stream.wait();
}

}  // namespace ds::cuda
