// Packed kernels for AVX-512 with VNNI and VBMI: dot products of bytes and words, decoding by a permutation
// of bytes.
#include <immintrin.h>

#include "infer/cpu/kernels/dot_avx512vnni.inc"
#include "infer/cpu/kernels/packed.h"

#define DS_ISA avx512vnni
#define DS_TILE_1 14
#define DS_TILE_2 14
#define DS_TILE_4 6
#define DS_TILE_SHIFT 12

namespace ds::infer {
namespace {

typedef __m512i Vector;
constexpr int kLanes = 16;
constexpr int kVectorBytes = 64;
constexpr int kWordWeightBytes = 32;  // of a vector: codes
constexpr bool kByteCodes = true;
using ByteValue = Vector;
using ByteWeight = Vector;

inline Vector zero_vector() { return _mm512_setzero_si512(); }
inline Vector load_vector(const void* p) { return _mm512_loadu_si512(p); }
inline void store_vector(void* p, Vector v) { _mm512_storeu_si512(p, v); }
inline Vector broadcast_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm512_set1_epi32(word);
}

inline ByteValue broadcast_bytes(const uint8_t* p) { return broadcast_word(p); }

// A permutation takes the lower six bits of each byte: the table of the 16 nibbles stands there four times.
#define DS_NIBBLE_WEIGHTS 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64
alignas(64) constexpr int8_t kNibbleWeights[64] = {DS_NIBBLE_WEIGHTS, DS_NIBBLE_WEIGHTS, DS_NIBBLE_WEIGHTS,
                                                   DS_NIBBLE_WEIGHTS};

// As instructions, as the dot product of bytes: g++ 12 also warns of an uninitialised value inside the
// intrinsic of the permutation.
inline Vector permute_bytes(Vector table, Vector index) {
  Vector result;
  asm("vpermb %1, %2, %0" : "=v"(result) : "v"(table), "v"(index));
  return result;
}
inline Vector permute_words(Vector table, Vector index) {
  Vector result;
  asm("vpermw %1, %2, %0" : "=v"(result) : "v"(table), "v"(index));
  return result;
}
inline void add_dot_i16(Vector& sum, Vector x, Vector w) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

inline void load_byte_weights(const uint8_t* p, Vector& low, Vector& high) {
  const Vector table = load_vector(kNibbleWeights);
  const Vector nibbles = load_vector(p);
  high = permute_bytes(table, _mm512_srli_epi16(nibbles, 4));
  low = permute_bytes(table, nibbles);
}

/// A table of four bytes, repeated: whatever stands above the two bits of an index makes no difference.
inline void decode_crumbs(Vector table, const uint8_t* p, Vector (&weights)[4]) {
  const Vector crumbs = load_vector(p);
  weights[0] = permute_bytes(table, crumbs);
  weights[1] = permute_bytes(table, _mm512_srli_epi16(crumbs, 2));
  weights[2] = permute_bytes(table, _mm512_srli_epi16(crumbs, 4));
  weights[3] = permute_bytes(table, _mm512_srli_epi16(crumbs, 6));
}

alignas(64) constexpr int16_t kWordWeights[32] = {
    0, 1,  2,  4,  8,  16,  32,  64,  128,  256,  512,  1024,  2048,  4096,  8192,  16384,
    0, -1, -2, -4, -8, -16, -32, -64, -128, -256, -512, -1024, -2048, -4096, -8192, -16384};

inline Vector load_word_weights(const uint8_t* p) {
  const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return permute_words(load_vector(kWordWeights), _mm512_cvtepu8_epi16(codes));
}

/// Shifts of 32 and more leave nothing.
struct ShiftWeight {
  Vector shift;
  Vector sign;  // -1 where the weight is negative, else 0
};
// Masks of ones: g++ 12 warns of an uninitialised value inside the intrinsics without.
constexpr __mmask16 kAll = 0xFFFF;
inline ShiftWeight load_shifts(const uint8_t* p) {
  const Vector bytes = _mm512_maskz_cvtepu8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm512_and_si512(bytes, _mm512_set1_epi32(kNegativeShift - 1)),
          _mm512_maskz_srai_epi32(kAll, _mm512_maskz_slli_epi32(kAll, bytes, 24), 31)};
}
inline Vector broadcast_i16(const uint8_t* p) {
  int16_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return _mm512_set1_epi32(value);
}
inline void add_shifted(Vector& sum, Vector x, const ShiftWeight& w) {
  const Vector shifted = _mm512_maskz_sllv_epi32(kAll, x, w.shift);
  sum = _mm512_add_epi32(sum, _mm512_sub_epi32(_mm512_xor_si512(shifted, w.sign), w.sign));
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
