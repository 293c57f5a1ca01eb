// Packed kernels in plain C++, four sums at a time.
#include "infer/cpu/kernels/packed.h"

#define DS_ISA generic
#define DS_TILE_2 4
#define DS_TILE_4 0
#define DS_TILE_SHIFT 4

namespace ds::infer {
namespace {

constexpr int kLanes = 4;
constexpr int kVectorBytes = 16;

/// Sums, four to a vector, or the bytes of words and weights.
struct Vector {
  int32_t lane[kLanes];
};

inline Vector zero_vector() { return {}; }
inline Vector load_vector(const void* p) {
  Vector v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
inline void store_vector(void* p, const Vector& v) { __builtin_memcpy(p, &v, sizeof(v)); }
inline Vector broadcast_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return {{word, word, word, word}};
}

constexpr int8_t kNibbleWeights[16] = {0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64};

inline void decode_nibbles(const uint8_t* p, Vector& low, Vector& high) {
  int8_t bytes[2][kVectorBytes];
  for (int i = 0; i < kVectorBytes; ++i) {
    bytes[0][i] = kNibbleWeights[p[i] & 15];
    bytes[1][i] = kNibbleWeights[p[i] >> 4];
  }
  low = load_vector(bytes[0]);
  high = load_vector(bytes[1]);
}

inline void add_dot_u8(Vector& sum, const Vector& x, const Vector& w) {
  uint8_t values[kVectorBytes];
  int8_t weights[kVectorBytes];
  store_vector(values, x);
  store_vector(weights, w);
  for (int i = 0; i < kVectorBytes; ++i) sum.lane[i / 4] += values[i] * weights[i];
}
inline void add_dot_i16(Vector& sum, const Vector& x, const Vector& w) {
  int16_t values[kVectorBytes / 2];
  int16_t weights[kVectorBytes / 2];
  store_vector(values, x);
  store_vector(weights, w);
  for (int i = 0; i < kVectorBytes / 2; ++i) sum.lane[i / 2] += values[i] * weights[i];
}

struct ShiftWeight {
  Vector shift;
  Vector sign;  // -1 where the weight is negative, else 0
};
inline ShiftWeight load_shifts(const uint8_t* p) {
  ShiftWeight w;
  for (int i = 0; i < kLanes; ++i) {
    w.shift.lane[i] = p[i] & (kNegativeShift - 1);
    w.sign.lane[i] = p[i] & kNegativeShift ? -1 : 0;
  }
  return w;
}
inline Vector broadcast_i16(const uint8_t* p) {
  int16_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return {{value, value, value, value}};
}
inline void add_shifted(Vector& sum, const Vector& x, const ShiftWeight& w) {
  for (int i = 0; i < kLanes; ++i) {
    const int32_t shifted = w.shift.lane[i] == kShiftOfZero ? 0 : x.lane[i] << w.shift.lane[i];
    sum.lane[i] += (shifted ^ w.sign.lane[i]) - w.sign.lane[i];
  }
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
