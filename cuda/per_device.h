// What is made once for each device that is used, by any thread, and kept until the process ends, when the
// driver may be gone already.
#pragma once

#include <map>
#include <mutex>

namespace ds::cuda {

template <class T>
class PerDevice {
 public:
  /// Made by make() at the first call for the device.
  template <class Make>
  T get(int index, const Make& make) {
    const std::lock_guard lock(mutex_);
    const auto found = made_.find(index);
    return found != made_.end() ? found->second : made_.emplace(index, make()).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<int, T> made_;
};

}  // namespace ds::cuda
