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
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/shift/pow2.h"

namespace ds {

enum class ShiftMethod : uint8_t { kQ, kPs };

/// "q" or "ps"; parsing throws Error for anything else.
std::string_view name_of(ShiftMethod method);
ShiftMethod parse_shift_method(std::string_view text);

inline constexpr int kMaxShiftOffset = 32;

/// A method, a number of bits, and what follows from them. The offset moves all exponents: the largest weight
/// is 2^offset, and the codes stay as they are.
struct ShiftFormat {
  ShiftMethod method = ShiftMethod::kQ;
  int bits = 5;
  int offset = 0;

  /// Throws Error for bits that there are not, and an offset beyond +-kMaxShiftOffset.
  ShiftRange range() const;
  bool operator==(const ShiftFormat&) const = default;
};

/// The code of a weight that is exactly 0 or +-2^p within the format's range; throws Error for any other
/// value.
uint8_t encode(float weight, ShiftFormat format);
/// The weight of a code; throws Error for a code that the format does not use.
float decode(uint8_t code, ShiftFormat format);

/// Bytes that `count` packed codes take: ceil(count * bits / 8).
constexpr int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }

/// Weights to packed codes and back. Throw Error for a weight or code that the format does not have, for bits
/// outside 2..5, for a stream of the wrong length, and for spare bits that are not 0.
std::vector<uint8_t> pack(std::span<const float> weights, ShiftFormat format);
std::vector<float> unpack(std::span<const uint8_t> packed, int64_t count, ShiftFormat format);

}  // namespace ds
