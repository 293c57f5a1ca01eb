// Packed kernels for AVX-512 with VNNI and VBMI: dot products of bytes and words, decoding by a permutation
// of bytes.
#include <immintrin.h>

#include <utility>

#include "infer/cpu/kernels/dot_avx512vnni.inc"
#include "infer/cpu/kernels/narrow_avx512.inc"
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
constexpr bool kStoresValues = true;
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

/// The rescaling of kLanes channels from c on, as RescaleTile says.
template <bool kPreShift>
class RescaledLanes {
 public:
  RescaledLanes(const RescaleTile& tile, int c)
      : multiplier_(load_vector(tile.multiplier + c)),
        addend_(load_vector(static_cast<const int32_t*>(tile.addend) + c)),
        shift_(load_vector(tile.shift + c)),
        pre_shift_(_mm512_set1_epi32(tile.pre_shift)),
        half_(_mm512_set1_epi32(kPreShift ? 1 << (tile.pre_shift - 1) : 0)) {}

  Vector of(Vector sum) const {
    if constexpr (kPreShift) sum = shifted(_mm512_add_epi32(sum, half_), pre_shift_);
    return shifted(_mm512_add_epi32(_mm512_mullo_epi32(sum, multiplier_), addend_), shift_);
  }

 private:
  static Vector shifted(Vector v, Vector by) { return _mm512_maskz_srav_epi32(kAll, v, by); }

  Vector multiplier_;
  Vector addend_;
  Vector shift_;
  Vector pre_shift_;
  Vector half_;
};

/// Sums of a column, rescaled: of pixel kFirst and the next one, or twice the last.
template <int kFirst, int kColumn, class Narrow, class Lanes, int kPixels, int kVectors>
DS_INLINE Vector words_of(const Lanes& lanes, const Vector (&sum)[kPixels][kVectors]) {
  constexpr int kLast = kPixels - 1;
  return Narrow::words(lanes.of(sum[kFirst < kLast ? kFirst : kLast][kColumn]),
                       lanes.of(sum[kFirst + 1 < kLast ? kFirst + 1 : kLast][kColumn]));
}

template <int kFirst, int kPixels>
DS_INLINE void store_four(const RescaleTile& tile, Vector bytes) {
  uint8_t* y = tile.y + kFirst * tile.y_pitch;
  store_first(quarter_of<0>(bytes), y, tile.count);
  if constexpr (kFirst + 1 < kPixels) store_first(quarter_of<1>(bytes), y + tile.y_pitch, tile.count);
  if constexpr (kFirst + 2 < kPixels) store_first(quarter_of<2>(bytes), y + 2 * tile.y_pitch, tile.count);
  if constexpr (kFirst + 3 < kPixels) store_first(quarter_of<3>(bytes), y + 3 * tile.y_pitch, tile.count);
}

template <int kFirst, int kPixels>
DS_INLINE void store_two(const RescaleTile& tile, Vector bytes) {
  uint8_t* y = tile.y + kFirst * tile.y_pitch;
  store_first(half_of<0>(bytes), y, tile.count);
  if constexpr (kFirst + 1 < kPixels) store_first(half_of<1>(bytes), y + tile.y_pitch, tile.count);
}

/// Written out by index, not in loops: those are unrolled too late for g++ 12 to keep sums in registers.
template <class Result, bool kPreShift, int kPixels, int... kGroup>
DS_INLINE void store_column(const RescaleTile& tile, const Vector (&sum)[kPixels][1],
                            std::integer_sequence<int, kGroup...> /*fours*/) {
  using Narrow = Narrowing<Result>;
  const RescaledLanes<kPreShift> lanes(tile, 0);
  const Narrow narrowing(tile.low, tile.high, kUnpacked);
  (store_four<4 * kGroup, kPixels>(tile, narrowing.bytes(words_of<4 * kGroup, 0, Narrow>(lanes, sum),
                                                         words_of<4 * kGroup + 2, 0, Narrow>(lanes, sum))),
   ...);
}

/// One column after the other: the parameters of one are all that registers hold beside the sums.
template <class Result, bool kPreShift, int kPixels, int... kGroup>
DS_INLINE void store_columns(const RescaleTile& tile, const Vector (&sum)[kPixels][2],
                             std::integer_sequence<int, kGroup...> /*pairs*/) {
  using Narrow = Narrowing<Result>;
  const RescaledLanes<kPreShift> first(tile, 0);
  const Vector first_words[] = {words_of<2 * kGroup, 0, Narrow>(first, sum)...};
  const RescaledLanes<kPreShift> second(tile, kLanes);
  const Vector second_words[] = {words_of<2 * kGroup, 1, Narrow>(second, sum)...};
  const Narrow narrowing(tile.low, tile.high, kUnpackedColumns);
  (store_two<2 * kGroup, kPixels>(tile, narrowing.bytes(first_words[kGroup], second_words[kGroup])), ...);
}

template <class Result, bool kPreShift, int kPixels>
DS_INLINE void store_values(const RescaleTile& tile, const Vector (&sum)[kPixels][1]) {
  store_column<Result, kPreShift>(tile, sum, std::make_integer_sequence<int, (kPixels + 3) / 4>{});
}
template <class Result, bool kPreShift, int kPixels>
DS_INLINE void store_values(const RescaleTile& tile, const Vector (&sum)[kPixels][2]) {
  store_columns<Result, kPreShift>(tile, sum, std::make_integer_sequence<int, (kPixels + 1) / 2>{});
}

}  // namespace
}  // namespace ds::infer

#include "infer/cpu/kernels/packed.inc"
