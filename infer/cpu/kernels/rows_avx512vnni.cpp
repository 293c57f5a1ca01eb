// Row kernels for AVX-512. (Where intrinsics take a mask it is all ones: g++ 12 warns of an uninitialised
// value inside those without, and makes conversions between vectors of different widths one value at a time.)
#include <immintrin.h>

#include "infer/cpu/kernels/lanes.inc"

namespace ds::infer {
namespace {

constexpr __mmask16 kAll = 0xFFFF;

inline Lanes<int32_t> widen(const uint8_t* p) {
  return reinterpret_cast<Lanes<int32_t>>(
      _mm512_maskz_cvtepu8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Lanes<int32_t> widen(const int8_t* p) {
  return reinterpret_cast<Lanes<int32_t>>(
      _mm512_maskz_cvtepi8_epi32(kAll, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Lanes<int32_t> widen(const int16_t* p) {
  return reinterpret_cast<Lanes<int32_t>>(
      _mm512_maskz_cvtepi16_epi32(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
// Values are within the type already.
inline void narrow(Lanes<int32_t> v, uint8_t* p) {
  _mm512_mask_cvtepi32_storeu_epi8(p, kAll, reinterpret_cast<__m512i>(v));
}
inline void narrow(Lanes<int32_t> v, int8_t* p) {
  _mm512_mask_cvtepi32_storeu_epi8(p, kAll, reinterpret_cast<__m512i>(v));
}
inline void narrow(Lanes<int32_t> v, int16_t* p) {
  _mm512_mask_cvtepi32_storeu_epi16(p, kAll, reinterpret_cast<__m512i>(v));
}

}  // namespace
}  // namespace ds::infer

#define DS_ISA avx512vnni
#include "infer/cpu/kernels/rows.inc"
