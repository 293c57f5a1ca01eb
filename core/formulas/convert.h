// One element type to another, on all devices: a float becomes an integer by truncation, integers saturate,
// and NaN gives 0.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/dtype.h"
#include "core/host_device.h"

namespace ds {

template <class To, class From>
DS_HOST_DEVICE To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, Bf16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return Bf16(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else if constexpr (std::is_floating_point_v<From>) {
    using Limits = std::numeric_limits<To>;
    // The first value too large, exactly.
    constexpr From kEnd = static_cast<From>(Limits::max() / 2 + 1) * 2;  // NOLINT(bugprone-integer-division)
    if (!(value == value)) return 0;
    if (value >= kEnd) return Limits::max();
    return value <= static_cast<From>(Limits::min()) ? Limits::min() : static_cast<To>(value);
  } else {
    using Limits = std::numeric_limits<To>;
    const auto wide = static_cast<int64_t>(value);
    if (wide < static_cast<int64_t>(Limits::min())) return Limits::min();
    return wide > static_cast<int64_t>(Limits::max()) ? Limits::max() : static_cast<To>(wide);
  }
}

}  // namespace ds
