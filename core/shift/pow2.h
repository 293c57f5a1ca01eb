// Rounding to signed powers of two: the one definition (paper, section 3), shared by training, packing and
// inference.
//
//   DeepShift-Q,  b bits:  w = sign * 2^p,             p in [-(2^(b-1) - 1), 0]; no zero
//   DeepShift-PS, b bits:  w = sign * 2^p, sign 0 too, p in [-(2^(b-1) - 2), 0]
//
// Q rounds in the log domain: with |w| = f * 2^e, 1 <= f < 2, p = e + 1 if f > sqrt(2), else e. PS rounds
// half to even.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/host_device.h"
#include "core/op_options.h"

namespace ds {

inline constexpr int kMinWeightBits = 2;
inline constexpr int kMaxPackedBits = 5;  // codes exist for 2 to 5 bits
inline constexpr int kMaxWeightBits = 7;  // 6 and 7 in float arithmetic only

/// Ranges of p. Throw Error unless 2 <= bits <= 7.
ShiftRange shift_q_range(int bits);
ShiftRange shift_ps_range(int bits);

namespace pow2 {

/// 2^p for |p| <= 126, exactly.
template <class T>
DS_HOST_DEVICE inline T exp2(int p) {
  if constexpr (std::is_same_v<T, float>) {
    return std::bit_cast<float>(static_cast<uint32_t>(p + 127) << 23);
  } else {
    return std::bit_cast<double>(static_cast<uint64_t>(p + 1023) << 52);
  }
}

/// The integer nearest to log2 |w| for a normal number, decided at sqrt(2) * 2^e without a logarithm. Zero
/// and subnormal numbers give an exponent below every range, infinities one above.
DS_HOST_DEVICE inline int nearest_log2(float w) {
  constexpr uint32_t kSqrt2Fraction = 0x3504F3;  // of the largest float below sqrt(2)
  const uint32_t bits = std::bit_cast<uint32_t>(w) & 0x7FFFFFFF;
  return static_cast<int>(bits >> 23) - 127 + ((bits & 0x7FFFFF) > kSqrt2Fraction ? 1 : 0);
}
DS_HOST_DEVICE inline int nearest_log2(double w) {
  constexpr uint64_t kSqrt2Fraction = 0x6A09E667F3BCC;  // of the largest double below sqrt(2)
  const uint64_t bits = std::bit_cast<uint64_t>(w) & 0x7FFFFFFFFFFFFFFF;
  return static_cast<int>(bits >> 52) - 1023 + ((bits & 0xFFFFFFFFFFFFF) > kSqrt2Fraction ? 1 : 0);
}

DS_HOST_DEVICE constexpr int clamp_exponent(int p, ShiftRange range) {
  return p < range.p_min ? range.p_min : (p > range.p_max ? range.p_max : p);
}

/// With the sign of w. A NaN stays one: a weight that has diverged must not look like a power of two.
template <class T>
DS_HOST_DEVICE inline T with_sign_of(T w, T magnitude) {
  const T rounded = w < T{0} ? -magnitude : magnitude;
  return w == w ? rounded : w;
}

/// DeepShift-Q of one weight. An exact zero, of either sign, becomes +2^p_min: Q has no code for zero.
template <class T>
DS_HOST_DEVICE inline T round_q(T w, ShiftRange range) {
  return with_sign_of(w, exp2<T>(clamp_exponent(nearest_log2(w), range)));
}

/// DeepShift-Q with stochastic rounding: up with probability frac(log2 |w|), for `uniform` in [0, 1).
template <class T>
DS_HOST_DEVICE inline T round_q_stochastic(T w, ShiftRange range, float uniform) {
  const T logarithm = std::log2(std::abs(w));
  const T lower = std::floor(logarithm);
  const T p = lower + (static_cast<T>(uniform) < logarithm - lower ? T{1} : T{0});
  const T bounded = std::fmin(std::fmax(p, static_cast<T>(range.p_min)), static_cast<T>(range.p_max));
  return with_sign_of(w, exp2<T>(static_cast<int>(bounded)));
}

/// |w| kept within [low, high], with its sign; an exact 0 becomes low. A NaN stays.
template <class T>
DS_HOST_DEVICE inline T clamp_magnitude(T w, T low, T high) {
  const T magnitude = std::abs(w);
  const T raised = magnitude < low ? low : magnitude;
  return w == T{0} ? low : std::copysign(raised > high ? high : raised, w);
}

/// The ternary sign of DeepShift-PS: sign(round(s)), half to even, so 0 for |s| <= 0.5.
template <class T>
DS_HOST_DEVICE inline T ternary_sign(T s) {
  return s > T{0.5} ? T{1} : (s < T{-0.5} ? T{-1} : T{0});
}

/// DeepShift-PS of one weight: sign(round(s)) 2^round(p). The exponent is kept within the range; a NaN stays.
template <class T>
DS_HOST_DEVICE inline T round_ps(T p, T s, ShiftRange range) {
  const T low = static_cast<T>(range.p_min);
  const T high = static_cast<T>(range.p_max);
  const T rounded = std::nearbyint(p);
  const T raised = rounded > low ? rounded : low;  // comparisons, unlike fmax, vectorise
  const T weight = ternary_sign(s) * exp2<T>(static_cast<int>(raised < high ? raised : high));
  return p == p && s == s ? weight : p + s;
}
template <class T>
DS_HOST_DEVICE inline T round_ps_stochastic(T p, T s, ShiftRange range, float uniform) {
  const T lower = std::floor(p);
  return round_ps(lower + (static_cast<T>(uniform) < p - lower ? T{1} : T{0}), s, range);
}

static_assert(std::bit_cast<float>(0x3F800000U | 0x3504F3U) < 1.41421356237309505);
static_assert(std::bit_cast<float>(0x3F800000U | 0x3504F4U) > 1.41421356237309505);

}  // namespace pow2
}  // namespace ds
