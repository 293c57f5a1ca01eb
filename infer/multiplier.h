// The multiplier of a channel: a real scale as m 2^-k, m with few signed binary digits.
#pragma once

#include <cstdint>

namespace ds::infer {

/// m 2^-k.
struct Multiplier {
  int64_t m = 0;
  int k = 0;

  double value() const;
};

inline constexpr int kFullDigits = 0;  // instead of a number of digits: any integer of 15 bits

/// The nearest to `scale` with k in [k_min, k_max]. With 1 to 4 digits, 64 < |m| <= 128 where k allows it, so
/// that the lowest digit is at most 6 places below the highest; with kFullDigits 2^14 < |m| <= 2^15.
/// Where k_min asks for it, m is larger. Throws Error for a scale that is not finite, and beyond 62 bits.
Multiplier nearest_multiplier(double scale, int digits, int k_min, int k_max);

}  // namespace ds::infer
