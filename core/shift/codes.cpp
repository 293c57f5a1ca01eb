#include "core/shift/codes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "core/error.h"

namespace ds {
namespace {

void check_bits(int bits) {
  DS_CHECK(kMinWeightBits <= bits && bits <= kMaxPackedBits, "[codes] {} bits, expected {} to {}", bits,
           kMinWeightBits, kMaxPackedBits);
}

/// The magnitude bits of 2^p_min: PS keeps 0 for the weight 0.
int first_magnitude(ShiftMethod method) { return method == ShiftMethod::kQ ? 0 : 1; }

/// PS has no negative zero.
bool is_used(unsigned code, ShiftFormat format) {
  const unsigned sign_bit = 1U << (format.bits - 1);
  return code < 2 * sign_bit && !(format.method == ShiftMethod::kPs && code == sign_bit);
}

void check_code(unsigned code, ShiftFormat format) {
  DS_CHECK(is_used(code, format), "[codes] code {:#04x} is not one of {}, {} bits", code,
           name_of(format.method), format.bits);
}

/// The term of each code; 0 for one that is not used.
std::vector<float> values_by_code(ShiftFormat format) {
  std::vector<float> values;
  for (unsigned code = 0; code < 1U << format.bits; ++code) {
    values.push_back(is_used(code, format) ? decode(static_cast<uint8_t>(code), format) : 0.0F);
  }
  return values;
}

using Pair = std::array<float, 2>;

/// By weight, its terms as split_terms() says.
std::map<float, Pair> pairs_of(ShiftFormat format) {
  const auto cost = [](const Pair& pair) {
    return std::pair(std::abs(pair[0]) + std::abs(pair[1]), std::abs(pair[1]));
  };
  const std::vector<float> terms = values_by_code(format);
  std::map<float, Pair> pairs;
  for (const float first : terms) {
    for (const float second : terms) {
      const Pair pair = {first, second};
      const auto [known, added] = pairs.try_emplace(first + second, pair);
      if (!added && cost(pair) < cost(known->second)) known->second = pair;
    }
  }
  return pairs;
}

std::vector<uint8_t> pack_terms(std::span<const float> terms, ShiftFormat format) {
  std::vector<uint8_t> packed(
      static_cast<size_t>(packed_bytes(static_cast<int64_t>(terms.size()), format.bits)));
  size_t bit = 0;
  for (const float term : terms) {
    const unsigned shifted = unsigned{encode(term, format)} << bit % 8;  // a code touches two bytes at most
    packed[bit / 8] = static_cast<uint8_t>(packed[bit / 8] | shifted);
    if (shifted > 0xFF) packed[bit / 8 + 1] = static_cast<uint8_t>(shifted >> 8);
    bit += static_cast<size_t>(format.bits);
  }
  return packed;
}

std::vector<float> unpack_stream(std::span<const uint8_t> packed, int64_t count, ShiftFormat format) {
  const std::vector<float> values = values_by_code(format);
  std::vector<float> terms(static_cast<size_t>(count));
  size_t bit = 0;
  for (float& term : terms) {
    const unsigned next = bit / 8 + 1 < packed.size() ? packed[bit / 8 + 1] : 0U;
    const unsigned pair = packed[bit / 8] | next << 8;
    const unsigned code = pair >> bit % 8 & ((1U << format.bits) - 1);
    check_code(code, format);
    term = values[code];
    bit += static_cast<size_t>(format.bits);
  }
  DS_CHECK(bit % 8 == 0 || packed.back() >> bit % 8 == 0,
           "[codes] the spare bits of the last byte {:#04x} are not 0", packed.back());
  return terms;
}

}  // namespace

ShiftRange ShiftFormat::range() const {
  DS_CHECK(terms == 1 || terms == 2, "[shift] weights of {} terms, expected 1 or 2", terms);
  DS_CHECK(terms == 1 || bits <= kMaxPackedBits, "[shift] two terms of {} bits, expected at most {}", bits,
           kMaxPackedBits);
  DS_CHECK(-kMaxShiftOffset <= offset && offset <= kMaxShiftOffset,
           "[shift] exponent offset is {}, expected -{} to {}", offset, kMaxShiftOffset, kMaxShiftOffset);
  const auto [p_min, p_max] = method == ShiftMethod::kQ ? shift_q_range(bits) : shift_ps_range(bits);
  return {p_min + offset, p_max + offset};
}

std::string ShiftFormat::bits_str() const {
  return terms == 1 ? std::to_string(bits) : fmt::format("{}x{}", terms, bits);
}

std::string_view name_of(ShiftMethod method) { return method == ShiftMethod::kQ ? "q" : "ps"; }

ShiftMethod parse_shift_method(std::string_view text) {
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    if (text == name_of(method)) return method;
  }
  fail("[codes] method \"{}\", expected q or ps", text);
}

uint8_t encode(float weight, ShiftFormat format) {
  check_bits(format.bits);
  if (format.method == ShiftMethod::kPs && weight == 0.0F) return 0;
  const auto [p_min, p_max] = format.range();
  int exponent = 0;
  const float fraction =
      std::frexp(weight, &exponent);  // weight = fraction 2^exponent, 1/2 <= |fraction| < 1
  const int p = exponent - 1;
  DS_CHECK(std::abs(fraction) == 0.5F && p_min <= p && p <= p_max,
           "[codes] weight {}, expected {}+-2^p with p in [{}, {}] ({}, {} bits)", weight,
           format.method == ShiftMethod::kPs ? "0 or " : "", p_min, p_max, name_of(format.method),
           format.bits);
  const int sign = weight < 0.0F ? 1 << (format.bits - 1) : 0;
  return static_cast<uint8_t>(sign | (p - p_min + first_magnitude(format.method)));
}

float decode(uint8_t code, ShiftFormat format) {
  check_bits(format.bits);
  const int sign_bit = 1 << (format.bits - 1);
  const int magnitude = code & (sign_bit - 1);
  const bool zero = magnitude < first_magnitude(format.method);
  check_code(code, format);
  if (zero) return 0.0F;
  const float value = pow2::exp2<float>(format.range().p_min + magnitude - first_magnitude(format.method));
  return (code & sign_bit) != 0 ? -value : value;
}

std::vector<std::vector<float>> split_terms(std::span<const float> weights, ShiftFormat format) {
  if (format.terms == 1) return {{weights.begin(), weights.end()}};
  const auto pairs = pairs_of(format);
  std::vector<std::vector<float>> terms(2, std::vector<float>(weights.size()));
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto pair = pairs.find(weights[i]);
    // A NaN is found anywhere.
    DS_CHECK(pair != pairs.end() && pair->first == weights[i],
             "[codes] weight {}, expected a sum of two terms ({}, {} bits)", weights[i],
             name_of(format.method), format.bits_str());
    terms[0][i] = pair->second[0];
    terms[1][i] = pair->second[1];
  }
  return terms;
}

std::vector<uint8_t> pack(std::span<const float> weights, ShiftFormat format) {
  check_bits(format.bits);
  std::vector<uint8_t> packed;
  for (const std::vector<float>& terms : split_terms(weights, format)) {
    const std::vector<uint8_t> stream = pack_terms(terms, format);
    packed.insert(packed.end(), stream.begin(), stream.end());
  }
  return packed;
}

std::vector<std::vector<float>> unpack_terms(std::span<const uint8_t> packed, int64_t count,
                                             ShiftFormat format) {
  check_bits(format.bits);
  DS_CHECK(count >= 0 && static_cast<int64_t>(packed.size()) == packed_bytes(count, format),
           "[codes] {} bytes for {} codes of {} bits, expected {}", packed.size(), count, format.bits_str(),
           packed_bytes(count, format));
  const auto stream = static_cast<size_t>(packed_bytes(count, format.bits));
  std::vector<std::vector<float>> terms;
  for (size_t first = 0; terms.size() < static_cast<size_t>(format.terms); first += stream) {
    terms.push_back(unpack_stream(packed.subspan(first, stream), count, format));
  }
  return terms;
}

std::vector<float> unpack(std::span<const uint8_t> packed, int64_t count, ShiftFormat format) {
  const std::vector<std::vector<float>> terms = unpack_terms(packed, count, format);
  std::vector<float> weights = terms.front();
  if (terms.size() == 2) std::ranges::transform(weights, terms.back(), weights.begin(), std::plus<>());
  return weights;
}

}  // namespace ds
