// Packed kernels in plain C++: four sums at a time, products by 32-bit multiplication.
#include "infer/cpu/kernels/packed.h"

#define DS_ISA generic
#define DS_TILE_2 8
#define DS_TILE_4 0
#define DS_TILE_SHIFT 8

namespace ds::infer {
namespace {

constexpr int kLanes = 4;
constexpr int kVectorBytes = 16;

/// Sums, or the words of values and weights. Compilers cut it into what the processor has.
typedef int32_t Vector __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

inline Vector zero_vector() { return Vector{}; }
inline Vector load_vector(const void* p) { return *static_cast<const Vector*>(p); }
inline void store_vector(void* p, Vector v) { *static_cast<Vector*>(p) = v; }
inline Vector broadcast_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return Vector{} + word;
}

constexpr int8_t kNibbleWeights[16] = {0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64};

inline void decode_nibbles(const uint8_t* p, Vector& low, Vector& high) {
  int8_t bytes[2][kVectorBytes];
  for (int i = 0; i < kVectorBytes; ++i) {
    bytes[0][i] = kNibbleWeights[p[i] & 15];
    bytes[1][i] = kNibbleWeights[p[i] >> 4];
  }
  __builtin_memcpy(&low, bytes[0], sizeof(low));
  __builtin_memcpy(&high, bytes[1], sizeof(high));
}

/// Byte, or half, i of each word, with its sign.
inline Vector signed_byte(Vector words, int i) { return (words << (24 - 8 * i)) >> 24; }
inline Vector signed_half(Vector words, int i) { return (words << (16 - 16 * i)) >> 16; }

inline void add_dot_u8(Vector& sum, Vector x, Vector w) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) sum += ((x >> (8 * i)) & 255) * signed_byte(w, i);
}
inline void add_dot_i16(Vector& sum, Vector x, Vector w) {
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) sum += signed_half(x, i) * signed_half(w, i);
}

struct ShiftWeight {
  Vector shift;
  Vector sign;  // -1 where the weight is negative, else 0
  Vector keep;  // 0 where the weight is 0, else -1
};
inline ShiftWeight load_shifts(const uint8_t* p) {
  ShiftWeight w{};
  for (int i = 0; i < kLanes; ++i) {
    w.shift[i] = p[i] & (kShiftOfZero - 1);
    w.sign[i] = (p[i] & kNegativeShift) != 0 ? -1 : 0;
    w.keep[i] = (p[i] & kShiftOfZero) != 0 ? 0 : -1;
  }
  return w;
}
inline Vector broadcast_i16(const uint8_t* p) {
  int16_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return Vector{} + value;
}
inline void add_shifted(Vector& sum, Vector x, const ShiftWeight& w) {
  sum += (((x << w.shift) ^ w.sign) - w.sign) & w.keep;
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
