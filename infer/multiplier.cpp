#include "infer/multiplier.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "infer/arithmetic.h"

namespace ds::infer {
namespace {

constexpr int kFewBits = 7;    // of m with few digits
constexpr int kFullBits = 15;  // of m otherwise
constexpr int kMaxBits = 62;   // of m that is held above its ideal shift

/// The integer in [0, 2^bits] with at most so many digits that is nearest to the target; the lower of two.
int64_t nearest_integer(double target, int digits, int bits) {
  const int64_t highest = int64_t{1} << bits;
  if (digits == kFullDigits) return std::min<int64_t>(std::llround(target), highest);
  int64_t nearest = 0;
  for (int64_t m = 1; m <= highest; ++m) {
    const bool nearer =
        std::abs(static_cast<double>(m) - target) < std::abs(static_cast<double>(nearest) - target);
    if (nearer && count_digits(m) <= digits) nearest = m;
  }
  return nearest;
}

}  // namespace

double Multiplier::value() const { return std::ldexp(static_cast<double>(m), -k); }

Multiplier nearest_multiplier(double scale, int digits, int k_min, int k_max) {
  DS_CHECK(std::isfinite(scale), "[multiplier] scale is {}, expected a finite number", scale);
  DS_CHECK(digits >= 0 && digits <= 4, "[multiplier] {} digits, expected 1 to 4, or 0 for all", digits);
  DS_CHECK(0 <= k_min && k_min <= k_max, "[multiplier] shifts from {} to {}, expected 0 <= least <= most",
           k_min, k_max);
  const double magnitude = std::abs(scale);
  if (magnitude == 0.0) return {.m = 0, .k = k_min};
  const int bits = digits == kFullDigits ? kFullBits : kFewBits;
  int exponent = 0;
  std::frexp(magnitude, &exponent);  // magnitude in [2^(exponent-1), 2^exponent)
  const int ideal = bits - exponent;
  const int k = std::clamp(ideal, k_min, k_max);
  // Where k is held above the ideal, m grows beyond its bits: the same digits, further left.
  const int left = std::max(0, k - ideal);
  DS_CHECK(left <= kMaxBits - bits,
           "[multiplier] scale is {} with a shift of {}, expected less than 2^{} in all", scale, k, kMaxBits);
  const int64_t m = nearest_integer(std::ldexp(magnitude, k - left), digits, bits) << left;
  return {.m = scale < 0.0 ? -m : m, .k = k};
}

}  // namespace ds::infer
