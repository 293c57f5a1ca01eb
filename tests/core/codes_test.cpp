#include "core/shift/codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "core/error.h"

namespace ds {
namespace {

using ::testing::HasSubstr;

class CodesTest : public ::testing::TestWithParam<ShiftFormat> {
 protected:
  /// Every weight of the format, written from the table of the paper and not from the code.
  static std::vector<float> all_weights() {
    const ShiftFormat format = GetParam();
    const int levels =
        format.method == ShiftMethod::kQ ? 1 << (format.bits - 1) : (1 << (format.bits - 1)) - 1;
    std::vector<float> weights;
    if (format.method == ShiftMethod::kPs) weights.push_back(0.0F);
    for (int p = 0; p > -levels; --p) {
      weights.push_back(std::ldexp(1.0F, p));
      weights.push_back(-std::ldexp(1.0F, p));
    }
    return weights;
  }
};

INSTANTIATE_TEST_SUITE_P(AllFormats, CodesTest,
                         ::testing::Values(ShiftFormat{ShiftMethod::kQ, 2}, ShiftFormat{ShiftMethod::kQ, 3},
                                           ShiftFormat{ShiftMethod::kQ, 4}, ShiftFormat{ShiftMethod::kQ, 5},
                                           ShiftFormat{ShiftMethod::kPs, 2}, ShiftFormat{ShiftMethod::kPs, 3},
                                           ShiftFormat{ShiftMethod::kPs, 4},
                                           ShiftFormat{ShiftMethod::kPs, 5}),
                         [](const auto& info) {
                           return fmt::format("{}{}", name_of(info.param.method), info.param.bits);
                         });

TEST_P(CodesTest, EveryWeightHasACodeOfItsOwn) {
  const ShiftFormat format = GetParam();
  std::set<uint8_t> codes;
  for (const float weight : all_weights()) {
    const uint8_t code = encode(weight, format);
    EXPECT_LT(code, 1 << format.bits);
    EXPECT_EQ(decode(code, format), weight);
    EXPECT_TRUE(codes.insert(code).second);
  }
  EXPECT_EQ(codes.size(),
            format.method == ShiftMethod::kQ ? size_t{1} << format.bits : (size_t{1} << format.bits) - 1);
}

TEST_P(CodesTest, EveryByteIsACodeOrRefused) {
  const ShiftFormat format = GetParam();
  std::set<uint8_t> codes;
  for (const float weight : all_weights()) codes.insert(encode(weight, format));
  for (int byte = 0; byte < 256; ++byte) {
    const auto code = static_cast<uint8_t>(byte);
    if (codes.contains(code)) {
      EXPECT_EQ(encode(decode(code, format), format), code);
    } else {
      EXPECT_THROW(decode(code, format), Error) << byte;
    }
  }
}

TEST_P(CodesTest, OtherWeightsAreRefused) {
  const ShiftFormat format = GetParam();
  const float smallest = std::ldexp(1.0F, format.range().p_min);
  for (const float weight :
       {2.0F, -2.0F, smallest / 2, 0.75F, std::nextafter(1.0F, 0.0F), std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity(), std::numeric_limits<float>::denorm_min()}) {
    EXPECT_THROW(encode(weight, format), Error) << weight;
  }
  if (format.method == ShiftMethod::kQ) {
    EXPECT_THROW(encode(0.0F, format), Error);
  } else {
    EXPECT_EQ(encode(-0.0F, format), 0);
  }
}

TEST_P(CodesTest, StreamsOfEveryLengthComeBack) {
  const ShiftFormat format = GetParam();
  const std::vector<float> weights = all_weights();
  for (size_t count = 0; count <= 40; ++count) {
    std::vector<float> stream;
    for (size_t i = 0; i < count; ++i) stream.push_back(weights[(5 * i + count) % weights.size()]);
    const std::vector<uint8_t> packed = pack(stream, format);
    const auto expected_bytes = (count * static_cast<size_t>(format.bits) + 7) / 8;
    ASSERT_EQ(packed.size(), expected_bytes);
    EXPECT_EQ(unpack(packed, static_cast<int64_t>(count), format), stream);
    // Bit by bit, as the header draws it.
    for (size_t bit = 0; bit < 8 * packed.size(); ++bit) {
      const size_t code = bit / static_cast<size_t>(format.bits);
      const bool expected =
          code < count && (encode(stream[code], format) >> bit % static_cast<size_t>(format.bits) & 1) != 0;
      ASSERT_EQ((packed[bit / 8] >> bit % 8 & 1) != 0, expected)
          << "bit " << bit << " of " << count << " codes";
    }
  }
}

TEST_P(CodesTest, SpareBitsMustBeZero) {
  const ShiftFormat format = GetParam();
  const std::vector<float> weights(3, 1.0F);
  const std::vector<uint8_t> packed = pack(weights, format);
  for (size_t bit = 3 * static_cast<size_t>(format.bits); bit < 8 * packed.size(); ++bit) {
    std::vector<uint8_t> damaged = packed;
    damaged.back() = static_cast<uint8_t>(damaged.back() | 1 << bit % 8);
    EXPECT_THROW(unpack(damaged, 3, format), Error) << bit;
  }
}

TEST_P(CodesTest, LengthsMustAgree) {
  const ShiftFormat format = GetParam();
  const std::vector<uint8_t> packed = pack(std::vector<float>(8, 1.0F), format);
  EXPECT_THROW(unpack(packed, 9, format), Error);
  EXPECT_THROW(unpack(packed, 4, format), Error);
  EXPECT_THROW(unpack(packed, -1, format), Error);
  EXPECT_THROW(unpack({}, 1, format), Error);
}

/// The same format with two terms.
ShiftFormat two_terms(ShiftFormat format) {
  format.terms = 2;
  return format;
}

/// Every pair of codes is a weight; packed again it may have other terms of the same sum.
TEST_P(CodesTest, PairsOfAllCodesAreWeightsOfTwoTerms) {
  const ShiftFormat format = GetParam();
  std::vector<float> first;
  std::vector<float> second;
  std::vector<float> sums;
  for (const float a : all_weights()) {
    for (const float b : all_weights()) {
      first.push_back(a);
      second.push_back(b);
      sums.push_back(a + b);
    }
  }
  std::vector<uint8_t> packed = pack(first, format);
  const std::vector<uint8_t> of_second = pack(second, format);
  packed.insert(packed.end(), of_second.begin(), of_second.end());
  const auto count = static_cast<int64_t>(sums.size());
  EXPECT_EQ(static_cast<int64_t>(packed.size()), packed_bytes(count, two_terms(format)));
  EXPECT_EQ(unpack_terms(packed, count, two_terms(format)), (std::vector{first, second}));
  EXPECT_EQ(unpack(packed, count, two_terms(format)), sums);
  const std::vector<uint8_t> again = pack(sums, two_terms(format));
  EXPECT_EQ(unpack(again, count, two_terms(format)), sums);
  EXPECT_EQ(pack(unpack(again, count, two_terms(format)), two_terms(format)), again);
}

/// Of all that add up to the weight.
TEST_P(CodesTest, TheTermsOfAWeightAreTheSmallest) {
  const ShiftFormat format = GetParam();
  for (const float a : all_weights()) {
    for (const float b : all_weights()) {
      const auto terms = split_terms(std::vector<float>{a + b}, two_terms(format));
      const float larger = terms[0][0];
      const float smaller = terms[1][0];
      ASSERT_EQ(larger + smaller, a + b);
      EXPECT_GE(std::abs(larger), std::abs(smaller)) << a << " + " << b;
      EXPECT_LE(std::abs(larger) + std::abs(smaller), std::abs(a) + std::abs(b)) << a << " + " << b;
      EXPECT_EQ(decode(encode(larger, format), format), larger);
      EXPECT_EQ(decode(encode(smaller, format), format), smaller);
    }
  }
}

TEST_P(CodesTest, TwoTermsAreCheckedEach) {
  const ShiftFormat format = two_terms(GetParam());
  const std::vector<uint8_t> packed =
      pack(std::vector<float>(3, 1.0F + std::ldexp(1.0F, format.range().p_min)), format);
  const size_t stream = packed.size() / 2;
  for (const size_t byte : {stream - 1, packed.size() - 1}) {
    if (3 * format.bits % 8 == 0) break;  // no spare bits
    std::vector<uint8_t> damaged = packed;
    damaged[byte] = static_cast<uint8_t>(damaged[byte] | 0x80);
    EXPECT_THROW(unpack(damaged, 3, format), Error) << byte;
  }
  EXPECT_THROW(unpack(std::span(packed).first(stream), 3, format), Error);
  for (const float weight :
       {2.5F, 0.6F, std::ldexp(1.0F, format.range().p_min - 1), std::numeric_limits<float>::quiet_NaN(),
        std::numeric_limits<float>::infinity()}) {
    EXPECT_THROW(pack(std::vector<float>{weight}, format), Error) << weight;
  }
}

TEST(Codes, OfTwoTermsSayWhatTheyAre) {
  EXPECT_EQ((ShiftFormat{ShiftMethod::kQ, 4}.bits_str()), "4");
  EXPECT_EQ((ShiftFormat{ShiftMethod::kQ, 4, 0, 2}.bits_str()), "2x4");
  EXPECT_EQ((ShiftFormat{ShiftMethod::kQ, 4, 0, 2}.bits_per_weight()), 8);
  EXPECT_THROW((ShiftFormat{ShiftMethod::kQ, 4, 0, 0}.range()), Error);
  EXPECT_THROW((ShiftFormat{ShiftMethod::kQ, 4, 0, 3}.range()), Error);
  EXPECT_THROW((ShiftFormat{ShiftMethod::kPs, 6, 0, 2}.range()), Error);
}

TEST(Codes, AreTheOnesOfTheTable) {
  const ShiftFormat q3{ShiftMethod::kQ, 3};  // p in [-3, 0]
  EXPECT_EQ(encode(0.125F, q3), 0b000);
  EXPECT_EQ(encode(1.0F, q3), 0b011);
  EXPECT_EQ(encode(-0.125F, q3), 0b100);
  EXPECT_EQ(encode(-1.0F, q3), 0b111);
  const ShiftFormat ps3{ShiftMethod::kPs, 3};  // p in [-2, 0]
  EXPECT_EQ(encode(0.0F, ps3), 0b000);
  EXPECT_EQ(encode(0.25F, ps3), 0b001);
  EXPECT_EQ(encode(1.0F, ps3), 0b011);
  EXPECT_EQ(encode(-0.25F, ps3), 0b101);
  EXPECT_EQ(encode(-1.0F, ps3), 0b111);
  const ShiftFormat ps2{ShiftMethod::kPs, 2};  // -1, 0, 1
  EXPECT_EQ(encode(1.0F, ps2), 0b01);
  EXPECT_EQ(encode(-1.0F, ps2), 0b11);
}

TEST(Codes, ArePackedAsDrawn) {
  // Codes 0 to 7 in order, from the lowest bit: 000 001 010 011 100 101 110 111.
  const std::vector<float> weights = {0.125F, 0.25F, 0.5F, 1.0F, -0.125F, -0.25F, -0.5F, -1.0F};
  EXPECT_EQ(pack(weights, {ShiftMethod::kQ, 3}), (std::vector<uint8_t>{0b10001000, 0b11000110, 0b11111010}));
}

TEST(Codes, AnOffsetMovesTheWeightsAndNotTheCodes) {
  const ShiftFormat plain{.method = ShiftMethod::kPs, .bits = 4};
  const ShiftFormat moved{.method = ShiftMethod::kPs, .bits = 4, .offset = -3};
  EXPECT_EQ(moved.range(), (ShiftRange{plain.range().p_min - 3, -3}));
  EXPECT_EQ(encode(-0.125F, moved), encode(-1.0F, plain));
  EXPECT_THROW(encode(0.25F, moved), Error);
  EXPECT_THROW(ShiftFormat{.offset = kMaxShiftOffset + 1}.range(), Error);
}

TEST(Codes, BitsAndMethodsAreChecked) {
  for (const int bits : {-1, 0, 1, 6, 7, 8, 40}) {
    EXPECT_THROW(encode(1.0F, {ShiftMethod::kQ, bits}), Error) << bits;
    EXPECT_THROW(decode(0, {ShiftMethod::kQ, bits}), Error) << bits;
    EXPECT_THROW(pack({}, {ShiftMethod::kPs, bits}), Error) << bits;
    EXPECT_THROW(unpack({}, 0, {ShiftMethod::kPs, bits}), Error) << bits;
  }
  EXPECT_EQ(parse_shift_method("q"), ShiftMethod::kQ);
  EXPECT_EQ(parse_shift_method("ps"), ShiftMethod::kPs);
  EXPECT_THROW(parse_shift_method("Q"), Error);
}

TEST(Codes, ErrorsSayWhatWasExpected) {
  try {
    encode(3.0F, {ShiftMethod::kPs, 4});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("weight 3, expected 0 or +-2^p with p in [-6, 0] (ps, 4 bits)"));
  }
}

}  // namespace
}  // namespace ds
