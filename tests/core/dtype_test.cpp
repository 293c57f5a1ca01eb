#include "core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace ds {
namespace {

TEST(DType, SizesAndNames) {
  const auto check = [](auto zero, std::string_view name) {
    using T = decltype(zero);
    EXPECT_EQ(size_of(dtype_of<T>()), sizeof(T)) << name;
    EXPECT_EQ(name_of(dtype_of<T>()), name);
  };
  check(float{}, "f32");
  check(double{}, "f64");
  check(Bf16{}, "bf16");
  check(uint8_t{}, "u8");
  check(int8_t{}, "i8");
  check(int16_t{}, "i16");
  check(int32_t{}, "i32");
  check(int64_t{}, "i64");
}

TEST(DType, DispatchCallsTheBodyWithThatType) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBf16, DType::kU8, DType::kI8, DType::kI16,
                            DType::kI32, DType::kI64}) {
    int calls = 0;
    dispatch_any(dtype, [&](auto zero) {
      ++calls;
      EXPECT_EQ(dtype_of<decltype(zero)>(), dtype);
    });
    EXPECT_EQ(calls, 1);
  }
}

TEST(DType, FloatDispatchNamesTheOperationItRefuses) {
  try {
    dispatch_float(DType::kI32, "relu", [](auto) {});
    FAIL() << "an integer type was dispatched";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[relu] element type is i32, expected f32 or f64");
  }
}

float round_trip(float value) { return static_cast<float>(Bf16(value)); }

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(round_trip(1.0F), 1.0F);
  EXPECT_EQ(round_trip(1.0F + 0x1p-8F), 1.0F);                    // half way: down to the even neighbour
  EXPECT_EQ(round_trip(1.0F + 3 * 0x1p-8F), 1.0F + 2 * 0x1p-7F);  // half way: up to the even neighbour
  EXPECT_EQ(round_trip(1.0F + 0x1p-8F + 0x1p-20F), 1.0F + 0x1p-7F);
  EXPECT_EQ(round_trip(-1.0F - 0x1p-8F - 0x1p-20F), -1.0F - 0x1p-7F);
}

TEST(Bf16, KeepsEveryOneOfItsOwnValues) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    Bf16 value;
    value.bits = static_cast<uint16_t>(bits);
    const float wide = static_cast<float>(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(round_trip(wide)));
    } else {
      ASSERT_EQ(Bf16(wide).bits, bits);
    }
  }
}

TEST(Bf16, EndsOfTheRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(round_trip(kInfinity), kInfinity);
  EXPECT_EQ(round_trip(-kInfinity), -kInfinity);
  EXPECT_EQ(round_trip(std::numeric_limits<float>::max()), kInfinity);
  EXPECT_TRUE(std::signbit(round_trip(-0.0F)));
  // a NaN whose payload lies in the lower half only must not become infinity
  EXPECT_TRUE(std::isnan(round_trip(std::bit_cast<float>(0x7F800001U))));
}

}  // namespace
}  // namespace ds
