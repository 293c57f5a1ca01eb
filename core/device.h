// Where a tensor's memory lives.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ds {

enum class DeviceType : uint8_t { kCpu, kCuda };

/// The CPU, or CUDA device number `index`. Prints and parses as "cpu", "cuda", "cuda:1".
struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;

  bool operator==(const Device&) const = default;
  std::string str() const;
};

/// Throws Error unless the text is "cpu", "cuda" or "cuda:<number>".
Device parse_device(std::string_view text);

}  // namespace ds
