// Row kernels for AVX-512. (Where intrinsics take a mask it is all ones: g++ 12 warns of an uninitialised
// value inside those without, and makes conversions between vectors of different widths one value at a time.)
#include <immintrin.h>

#include "infer/cpu/kernels/lanes.inc"
#include "infer/cpu/kernels/narrow_avx512.inc"

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
// Values are within the type already. (Not by the instruction that stores itself: it takes longer.)
inline void narrow(Lanes<int32_t> v, int16_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtepi32_epi16(kAll, reinterpret_cast<__m512i>(v)));
}

constexpr bool kNarrowsBytes = true;

template <class Result>
inline Narrowing<Result> narrowing_of(const RescaleTile& tile, Result /*type*/) {
  return {tile.low, tile.high, kUnpacked};
}
template <class Result>
inline __m512i clamped_bytes(const Narrowing<Result>& narrowing, Lanes<int32_t> a, Lanes<int32_t> b,
                             Lanes<int32_t> c, Lanes<int32_t> d) {
  const auto words = [](Lanes<int32_t> low, Lanes<int32_t> high) {
    return Narrowing<Result>::words(reinterpret_cast<__m512i>(low), reinterpret_cast<__m512i>(high));
  };
  return narrowing.bytes(words(a, b), words(c, d));
}

/// Two pixels of two blocks each.
template <class Result>
inline void narrow_bytes(const Narrowing<Result>& narrowing, Lanes<int32_t> a, Lanes<int32_t> b,
                         Lanes<int32_t> c, Lanes<int32_t> d, Result* ab, Result* cd) {
  const __m512i bytes = clamped_bytes(narrowing, a, b, c, d);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(ab), half_of<0>(bytes));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(cd), half_of<1>(bytes));
}

/// Four pixels of a block.
template <class Result>
inline void narrow_bytes(const Narrowing<Result>& narrowing, Lanes<int32_t> a, Lanes<int32_t> b,
                         Lanes<int32_t> c, Lanes<int32_t> d, Result* to, int64_t pitch, int64_t count) {
  const __m512i bytes = clamped_bytes(narrowing, a, b, c, d);
  store_first(quarter_of<0>(bytes), to, count);
  store_first(quarter_of<1>(bytes), to + pitch, count);
  store_first(quarter_of<2>(bytes), to + 2 * pitch, count);
  store_first(quarter_of<3>(bytes), to + 3 * pitch, count);
}

/// One.
template <class Result>
inline void narrow_bytes(const Narrowing<Result>& narrowing, Lanes<int32_t> v, Result* to, int64_t count) {
  store_first(quarter_of<0>(clamped_bytes(narrowing, v, v, v, v)), to, count);
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/depthwise_rows_avx512vnni.inc"

#define DS_ISA avx512vnni
#include "infer/cpu/kernels/rows.inc"
