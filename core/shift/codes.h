// Codes of 2 to 5 bits and their packed layout: the one definition, shared by files, CPU, CUDA and exported
// C.
//
// A code of b bits is a sign bit (1 = negative) above b - 1 magnitude bits m:
//
//     Q    m = p - p_min, 0 .. 2^(b-1) - 1                       every code is a weight
//     PS   m = 0: the weight 0;  m = p - p_min + 1 otherwise     sign 1 with m = 0 is not used
//
// Packed, code i takes bits [i b, (i + 1) b) of a little-endian bit stream, bit n being bit n % 8 of byte n
// / 8. Nothing is rounded up but the end of the stream, whose spare bits are 0. With 3 bits:
//
//     byte     0                 1                 2
//     bit      7 6 5 4 3 2 1 0   7 6 5 4 3 2 1 0   7 6 5 4 3 2 1 0
//     code     2 2 1 1 1 0 0 0   5 4 4 4 3 3 3 2   7 7 7 6 6 6 5 5
//
// A weight of two terms is the sum of two values with a code each: two such streams, one after the other,
// hold the first terms and the second ones.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/shift/pow2.h"

namespace ds {

enum class ShiftMethod : uint8_t { kQ, kPs };

/// "q" or "ps"; parsing throws Error for anything else.
std::string_view name_of(ShiftMethod method);
ShiftMethod parse_shift_method(std::string_view text);

inline constexpr int kMaxShiftOffset = 32;

/// A method, a number of bits, and what follows from them. The offset moves all exponents: the largest term
/// is 2^offset, and the codes stay as they are.
struct ShiftFormat {
  ShiftMethod method = ShiftMethod::kQ;
  int bits = 5;  // of a term
  int offset = 0;
  int terms = 1;  // powers of two that add up to a weight: 1 or 2

  /// Of the exponent of a term. Throws Error for bits that there are not (two terms: beyond 5), an offset
  /// beyond +-kMaxShiftOffset, and other numbers of terms.
  ShiftRange range() const;
  /// Of all codes of a weight.
  int bits_per_weight() const { return terms * bits; }
  /// The same as text, "4" or "2x4".
  std::string bits_str() const;
  bool operator==(const ShiftFormat&) const = default;
};

/// The code of a weight of one term, or of one of its two: exactly 0 or +-2^p within the format's range.
/// Throws Error for any other value.
uint8_t encode(float weight, ShiftFormat format);
/// The value of a code; throws Error for a code that the format does not use.
float decode(uint8_t code, ShiftFormat format);

/// Bytes that `count` packed codes take: ceil(count * bits / 8).
constexpr int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }
/// And those of weights, whose terms are packed apart.
inline int64_t packed_bytes(int64_t count, ShiftFormat format) {
  return format.terms * packed_bytes(count, format.bits);
}

/// The first terms of weights and, where there are two, the second ones: of all pairs of terms that add up to
/// a weight the one of the smallest magnitudes, the larger term first. Throws Error for a weight of two terms
/// that the format does not have.
std::vector<std::vector<float>> split_terms(std::span<const float> weights, ShiftFormat format);

/// Weights to packed codes. Throws Error for a weight that the format does not have, and for bits outside
/// 2..5.
std::vector<uint8_t> pack(std::span<const float> weights, ShiftFormat format);
/// The terms of packed codes, as they were packed. Throws Error for a code that the format does not use, for
/// bits outside 2..5, for a stream of the wrong length, and for spare bits that are not 0.
std::vector<std::vector<float>> unpack_terms(std::span<const uint8_t> packed, int64_t count,
                                             ShiftFormat format);
/// Their sums: the weights.
std::vector<float> unpack(std::span<const uint8_t> packed, int64_t count, ShiftFormat format);

}  // namespace ds
