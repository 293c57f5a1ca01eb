// Packed kernels for AVX2. Products of bytes in pairs cannot saturate: 2 * 255 * 64 < 2^15.
#include <immintrin.h>

#include "infer/cpu/kernels/packed.h"

#define DS_ISA avx2
#define DS_TILE_1 10
#define DS_TILE_2 6
#define DS_TILE_4 2
#define DS_TILE_SHIFT 4

namespace ds::infer {
namespace {

typedef __m256i Vector;
constexpr int kLanes = 8;
constexpr int kVectorBytes = 32;
constexpr int kWordWeightBytes = 32;  // of a vector: the weights themselves
constexpr bool kByteCodes = true;
constexpr bool kStoresValues = false;
constexpr bool kUnpacks = true;
using ByteValue = Vector;
using ByteWeight = Vector;

inline Vector zero_vector() { return _mm256_setzero_si256(); }
inline Vector load_vector(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store_vector(void* p, Vector v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
inline Vector broadcast_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm256_set1_epi32(word);
}

inline ByteValue broadcast_bytes(const uint8_t* p) { return broadcast_word(p); }
inline Vector load_word_weights(const uint8_t* p) { return load_vector(p); }

// Constants that instructions read from memory: the compiler would keep each in a register, of which sums,
// weights and a value need all 16, and spill sums for it.
#define DS_NIBBLE_WEIGHTS 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64
alignas(32) constexpr int8_t kNibbleWeights[32] = {DS_NIBBLE_WEIGHTS, DS_NIBBLE_WEIGHTS};
#define DS_EIGHT(x) x, x, x, x, x, x, x, x
alignas(32) constexpr int32_t kLowNibbles[8] = {DS_EIGHT(0x0F0F0F0F)};
alignas(32) constexpr int32_t kOnes[8] = {DS_EIGHT(0x00010001)};

inline Vector low_nibbles(Vector v) {
  Vector result;
  asm("vpand %2, %1, %0" : "=x"(result) : "x"(v), "m"(kLowNibbles));
  return result;
}
inline Vector nibble_weights(Vector nibbles) {
  Vector result;
  asm("vmovdqa %2, %0\n\tvpshufb %1, %0, %0" : "=&x"(result) : "x"(nibbles), "m"(kNibbleWeights));
  return result;
}

inline void load_byte_weights(const uint8_t* p, Vector& low, Vector& high) {
  const Vector nibbles = load_vector(p);
  low = nibble_weights(low_nibbles(nibbles));
  high = nibble_weights(low_nibbles(_mm256_srli_epi16(nibbles, 4)));
}

/// A table of four bytes, repeated: the bits above the index make no difference, but for the highest.
inline void decode_crumbs(Vector table, const uint8_t* p, Vector (&weights)[4]) {
  const Vector crumbs = load_vector(p);
  weights[0] = _mm256_shuffle_epi8(table, low_nibbles(crumbs));
  weights[1] = _mm256_shuffle_epi8(table, low_nibbles(_mm256_srli_epi16(crumbs, 2)));
  weights[2] = _mm256_shuffle_epi8(table, low_nibbles(_mm256_srli_epi16(crumbs, 4)));
  weights[3] = _mm256_shuffle_epi8(table, low_nibbles(_mm256_srli_epi16(crumbs, 6)));
}

inline void add_dot_u8(Vector& sum, Vector x, Vector w) {
  Vector pairs = _mm256_maddubs_epi16(x, w);
  asm("vpmaddwd %1, %0, %0" : "+x"(pairs) : "m"(kOnes));
  sum = _mm256_add_epi32(sum, pairs);
}
inline void add_dot_i16(Vector& sum, Vector x, Vector w) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
}

/// Shifts of 32 and more leave nothing.
struct ShiftWeight {
  Vector shift;
  Vector sign;  // -1 where the weight is negative, else 0
};
inline ShiftWeight load_shifts(const uint8_t* p) {
  const Vector bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_and_si256(bytes, _mm256_set1_epi32(kNegativeShift - 1)),
          _mm256_srai_epi32(_mm256_slli_epi32(bytes, 24), 31)};
}
inline Vector broadcast_i16(const uint8_t* p) {
  int16_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return _mm256_set1_epi32(value);
}
inline void add_shifted(Vector& sum, Vector x, const ShiftWeight& w) {
  const Vector shifted = _mm256_sllv_epi32(x, w.shift);
  sum = _mm256_add_epi32(sum, _mm256_sub_epi32(_mm256_xor_si256(shifted, w.sign), w.sign));
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
