// What follows a convolution in inference, done while its outputs are in the cache:
//
//   y = min(max(y + shortcut, low), high)        a residual addition, and ReLU (0, inf) or ReLU6 (0, 6)
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace ds::cpu {

struct Conv2dEpilogue {
  const float* shortcut = nullptr;  // with the layout of y, or null
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool empty() const {
    return shortcut == nullptr && low == -std::numeric_limits<float>::infinity() &&
           high == std::numeric_limits<float>::infinity();
  }

  /// Elements [from, from + count) of y.
  void apply(float* y, int64_t from, int64_t count) const {
    float* __restrict target = y + from;
    if (shortcut != nullptr) {
      const float* __restrict addend = shortcut + from;
      for (int64_t i = 0; i < count; ++i) target[i] = std::min(std::max(target[i] + addend[i], low), high);
    } else {
      for (int64_t i = 0; i < count; ++i) target[i] = std::min(std::max(target[i], low), high);
    }
  }

  /// `count` channels of each of `pixels` pixels, `pitch` apart.
  void apply(float* y, int64_t from, int64_t pixels, int64_t pitch, int64_t count) const {
    if (empty()) return;
    if (pitch == count) return apply(y, from, pixels * count);
    for (int64_t p = 0; p < pixels; ++p) apply(y, from + p * pitch, count);
  }
};

}  // namespace ds::cpu
