// Row kernels for AVX2: sixteen values are two vectors.
#include <immintrin.h>

#include "infer/cpu/kernels/lanes.inc"

namespace ds::infer {
namespace {

inline Lanes<int32_t> join(__m256i low, __m256i high) {
  Lanes<int32_t> v;
  __builtin_memcpy(&v, &low, sizeof(low));
  __builtin_memcpy(reinterpret_cast<char*>(&v) + sizeof(low), &high, sizeof(high));
  return v;
}
inline __m128i load_half(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

inline Lanes<int32_t> widen(const uint8_t* p) {
  return join(_mm256_cvtepu8_epi32(load_half(p)), _mm256_cvtepu8_epi32(load_half(p + 8)));
}
inline Lanes<int32_t> widen(const int8_t* p) {
  return join(_mm256_cvtepi8_epi32(load_half(p)), _mm256_cvtepi8_epi32(load_half(p + 8)));
}
inline Lanes<int32_t> widen(const int16_t* p) {
  const auto load = [](const int16_t* q) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(q)); };
  return join(_mm256_cvtepi16_epi32(load(p)), _mm256_cvtepi16_epi32(load(p + 8)));
}
/// Values are within the type already: what saturates here changes nothing.
inline __m256i words_of(const Lanes<int32_t>& v) {
  __m256i low;
  __m256i high;
  __builtin_memcpy(&low, &v, sizeof(low));
  __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof(low), sizeof(high));
  return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);  // packs works within halves
}
inline void narrow(const Lanes<int32_t>& v, int16_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words_of(v));
}
inline void narrow(const Lanes<int32_t>& v, uint8_t* p) {
  const __m256i words = words_of(v);
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
inline void narrow(const Lanes<int32_t>& v, int8_t* p) {
  const __m256i words = words_of(v);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

constexpr bool kNarrowsBytes = false;
constexpr const DepthwiseRowsKernels* kDepthwiseRows = nullptr;

}  // namespace
}  // namespace ds::infer

#define DS_ISA avx2
#include "infer/cpu/kernels/rows.inc"
