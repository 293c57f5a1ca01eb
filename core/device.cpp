#include "core/device.h"

#include <charconv>

#include "core/error.h"

namespace ds {

std::string Device::str() const { return type == DeviceType::kCpu ? "cpu" : fmt::format("cuda:{}", index); }

Device parse_device(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {.type = DeviceType::kCuda};
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix)) {
    Device device{.type = DeviceType::kCuda};
    const std::string_view digits = text.substr(kPrefix.size());
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), device.index);
    if (status == std::errc{} && end == digits.data() + digits.size() && device.index >= 0) return device;
  }
  fail("[device] unknown device \"{}\", expected cpu, cuda or cuda:<number>", text);
}

}  // namespace ds
