// Packed kernels for AVX-512 with VNNI and VBMI: dot products of bytes and words, decoding by a permutation
// of bytes.
#include <immintrin.h>

#include "infer/cpu/kernels/packed.h"

#define DS_ISA avx512vnni
#define DS_TILE_2 14
#define DS_TILE_4 6

namespace ds::infer {
namespace {

typedef __m512i Vector;
constexpr int kLanes = 16;
constexpr int kVectorBytes = 64;

inline Vector zero_vector() { return _mm512_setzero_si512(); }
inline Vector load_vector(const void* p) { return _mm512_loadu_si512(p); }
inline void store_vector(void* p, Vector v) { _mm512_storeu_si512(p, v); }
inline Vector broadcast_word(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm512_set1_epi32(word);
}

// A permutation takes the lower six bits of each byte: the table of the 16 nibbles stands there four times.
#define DS_NIBBLE_WEIGHTS 0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64
alignas(64) constexpr int8_t kNibbleWeights[64] = {DS_NIBBLE_WEIGHTS, DS_NIBBLE_WEIGHTS, DS_NIBBLE_WEIGHTS,
                                                   DS_NIBBLE_WEIGHTS};

// As instructions: g++ 12 surrounds the intrinsics of dot products with copies and orders them so that sums
// are spilled, and warns of an uninitialised value inside that of the permutation.
inline Vector permute_bytes(Vector table, Vector index) {
  Vector result;
  asm("vpermb %1, %2, %0" : "=v"(result) : "v"(table), "v"(index));
  return result;
}
inline void add_dot_u8(Vector& sum, Vector x, Vector w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
inline void add_dot_i16(Vector& sum, Vector x, Vector w) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

inline void decode_nibbles(const uint8_t* p, Vector& low, Vector& high) {
  const Vector table = load_vector(kNibbleWeights);
  const Vector nibbles = load_vector(p);
  high = permute_bytes(table, _mm512_srli_epi16(nibbles, 4));
  low = permute_bytes(table, nibbles);
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
