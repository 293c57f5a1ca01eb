// Packed kernels in plain C++: four sums at a time. Products of bytes are made in 16 bits, two of which add
// up to less than 2^15 (2 * 255 * 64); those of words in 32.
#include "infer/cpu/kernels/packed.h"

#define DS_ISA generic
#define DS_TILE_1 8
#define DS_TILE_2 8
#define DS_TILE_4 4
#define DS_TILE_SHIFT 8

namespace ds::infer {
namespace {

constexpr int kLanes = 4;
constexpr int kVectorBytes = 16;
constexpr bool kByteCodes = false;  // decoding would take longer than the products
constexpr bool kStoresValues = false;
constexpr bool kUnpacks = false;
constexpr int kWordWeightBytes = 16;  // of a vector: the weights themselves

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

typedef int16_t Halves __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));

/// Bytes 0 and 2 of each lane, and 1 and 3.
struct ByteValue {
  Halves even;
  Halves odd;
};
using ByteWeight = ByteValue;

inline ByteValue broadcast_bytes(const uint8_t* p) {
  const auto words = reinterpret_cast<Halves>(broadcast_word(p));
  return {words & 255, (words >> 8) & 255};
}
inline void load_byte_weights(const uint8_t* p, ByteWeight& first, ByteWeight& second) {
  const auto split = [](const uint8_t* bytes) -> ByteWeight {
    const auto words = reinterpret_cast<Halves>(load_vector(bytes));
    return {(words << 8) >> 8, words >> 8};
  };
  first = split(p);
  second = split(p + kVectorBytes);
}
inline Vector load_word_weights(const uint8_t* p) { return load_vector(p); }

inline void add_dot_u8(Vector& sum, const ByteValue& x, const ByteWeight& w) {
  const auto pairs = reinterpret_cast<Vector>(x.even * w.even + x.odd * w.odd);
  sum += ((pairs << 16) >> 16) + (pairs >> 16);
}

/// Half i of each word, with its sign.
inline Vector signed_half(Vector words, int i) { return (words << (16 - 16 * i)) >> 16; }
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
