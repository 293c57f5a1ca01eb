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
// Values are within the type already. (Not by the instructions that store themselves: they take longer.)
inline __m128i bytes_of(Lanes<int32_t> v) {
  return _mm512_maskz_cvtepi32_epi8(kAll, reinterpret_cast<__m512i>(v));
}
inline void narrow(Lanes<int32_t> v, uint8_t* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes_of(v));
}
inline void narrow(Lanes<int32_t> v, int8_t* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes_of(v));
}
inline void narrow(Lanes<int32_t> v, int16_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtepi32_epi16(kAll, reinterpret_cast<__m512i>(v)));
}

constexpr bool kNarrowsSaturated = true;

// Packing interleaves the vectors in units of four bytes.
alignas(64) constexpr int32_t kUnpacked[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

template <class Result>
inline void narrow_saturated(Lanes<int32_t> a, Lanes<int32_t> b, Lanes<int32_t> c, Lanes<int32_t> d,
                             Result* ab, Result* cd) {
  const auto pack = [](Lanes<int32_t> low, Lanes<int32_t> high) {
    return _mm512_packs_epi32(reinterpret_cast<__m512i>(low), reinterpret_cast<__m512i>(high));
  };
  const __m512i packed = __is_same(Result, uint8_t) ? _mm512_packus_epi16(pack(a, b), pack(c, d))
                                                    : _mm512_packs_epi16(pack(a, b), pack(c, d));
  const __m512i bytes = _mm512_maskz_permutexvar_epi32(kAll, _mm512_load_si512(kUnpacked), packed);
  constexpr int64_t kHalf = sizeof(bytes) / 2;
  __builtin_memcpy(ab, &bytes, kHalf);
  __builtin_memcpy(cd, reinterpret_cast<const char*>(&bytes) + kHalf, kHalf);
}

}  // namespace
}  // namespace ds::infer

#define DS_ISA avx512vnni
#include "infer/cpu/kernels/rows.inc"
