// The few operations that integer nets are made of.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ds::infer {

/// What is added before a shift right by n, so that it rounds half up.
constexpr int64_t half(int n) { return n > 0 ? int64_t{1} << (n - 1) : 0; }

/// a / 2^n, rounded half up. Shifts right of negative numbers are arithmetic in C++20.
constexpr int64_t shift_right_rounded(int64_t a, int n) { return (a + half(n)) >> n; }

constexpr int64_t saturate(int64_t value, int64_t low, int64_t high) { return std::clamp(value, low, high); }

/// a m by the signed binary digits of m in non-adjacent form: a shift and an addition a digit.
constexpr int64_t multiply_by_digits(int64_t a, int64_t m) {
  uint64_t sum = 0;  // modulo 2^64: a partial sum may leave 63 bits where the product does not
  for (int position = 0; m != 0; ++position, m >>= 1) {
    if ((m & 1) == 0) continue;
    const bool negative = (m & 3) == 3;  // ...11 = ...100 - 1
    const uint64_t term = static_cast<uint64_t>(a) << position;
    sum += negative ? 0 - term : term;
    m += negative ? 1 : -1;
  }
  return static_cast<int64_t>(sum);
}

/// Digits of m in that form: D shifts and D - 1 additions.
constexpr int count_digits(int64_t m) {
  int count = 0;
  for (; m != 0; m >>= 1) {
    if ((m & 1) == 0) continue;
    m += (m & 3) == 3 ? 1 : -1;
    ++count;
  }
  return count;
}

static_assert(count_digits(0) == 0 && count_digits(96) == 2 && count_digits(-7) == 2 &&
              count_digits(85) == 4);
static_assert(multiply_by_digits(-3, 107) == -321 && multiply_by_digits(5, -90) == -450);
static_assert(shift_right_rounded(-3, 1) == -1 && shift_right_rounded(3, 1) == 2 &&
              shift_right_rounded(7, 0) == 7);

}  // namespace ds::infer
