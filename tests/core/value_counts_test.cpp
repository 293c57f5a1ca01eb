#include "core/value_counts.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "tests/layers/support.h"
#include "tests/support/resident_pages.h"

namespace ds {
namespace {

using test::error_of;
using testing::HasSubstr;

ValueCounts counts_of(const std::vector<float>& values) {
  ValueCounts counts;
  counts.add(values);
  return counts;
}

TEST(ValueCounts, MinMaxHoldsEveryValue) {
  EXPECT_EQ(counts_of({0.0F, 0.9F}).fraction_bits(0, 255, FormatChoice::kMinMax), 8);
  EXPECT_EQ(counts_of({0.0F, 1.1F}).fraction_bits(0, 255, FormatChoice::kMinMax), 7);
  EXPECT_EQ(counts_of({-1.1F, 0.5F}).fraction_bits(-128, 127, FormatChoice::kMinMax), 6);
  EXPECT_EQ(counts_of({1000.0F}).fraction_bits(0, 255, FormatChoice::kMinMax), -2);
  EXPECT_EQ(counts_of({0.0F}).fraction_bits(0, 255, FormatChoice::kMinMax), 0);
}

TEST(ValueCounts, PercentileLeavesOutFewValues) {
  std::vector<float> values(100'000, 0.4F);
  values.push_back(50.0F);
  EXPECT_EQ(counts_of(values).fraction_bits(0, 255, FormatChoice::kMinMax), 2);
  EXPECT_EQ(counts_of(values).fraction_bits(0, 255, FormatChoice::kPercentile), 9);
}

/// The squared error of rounding to F bits, computed from the values themselves.
double squared_error(const std::vector<float>& values, int fraction_bits) {
  double error = 0.0;
  for (const float value : values) {
    const double q = std::clamp(std::floor(std::ldexp(double{value}, fraction_bits) + 0.5), 0.0, 255.0);
    error += std::pow(value - std::ldexp(q, -fraction_bits), 2.0);
  }
  return error;
}

TEST(ValueCounts, LeastSquaresHasTheLeastError) {
  manual_seed(3);
  for (const double spread : {0.3, 1.0, 2.5, 7.0}) {
    std::vector<float> values;
    for (int i = 0; i < 20'000; ++i) {
      values.push_back(static_cast<float>(std::max(0.0, spread * default_generator().normal())));
    }
    const int found = counts_of(values).fraction_bits(0, 255, FormatChoice::kLeastSquares);
    for (int bits = found - 2; bits <= found + 2; ++bits) {
      EXPECT_LE(squared_error(values, found), squared_error(values, bits) * 1.01)
          << spread << " bits " << bits;
    }
  }
}

TEST(ValueCounts, AddUpInAnyOrder) {
  ValueCounts parts = counts_of({1.0F, 2.0F});
  parts.add(counts_of({-3.0F}));
  EXPECT_EQ(parts.lowest(), -3.0);
  EXPECT_EQ(parts.highest(), 2.0);
}

TEST(ValueCounts, OfNothingChangeNothing) {
  const std::vector<float> values = {-0.7F, 0.1F, 0.9F, 2.4F};
  ValueCounts more = counts_of(values);
  more.add(ValueCounts());
  more.add(counts_of({}));
  ValueCounts copied;
  copied.add(counts_of(values));
  for (const FormatChoice choice :
       {FormatChoice::kLeastSquares, FormatChoice::kPercentile, FormatChoice::kMinMax}) {
    const int expected = counts_of(values).fraction_bits(-128, 127, choice);
    EXPECT_EQ(more.fraction_bits(-128, 127, choice), expected) << name_of(choice);
    EXPECT_EQ(copied.fraction_bits(-128, 127, choice), expected) << name_of(choice);
    EXPECT_EQ(ValueCounts().fraction_bits(-128, 127, choice), 0) << name_of(choice);
  }
  EXPECT_EQ(copied.lowest(), double{-0.7F});
  EXPECT_EQ(copied.highest(), double{2.4F});
}

/// Of the values of a traced graph, of which parameters are most, few are counted.
TEST(ValueCounts, TakeNoMemoryBeforeTheFirstValue) {
  const int64_t before = test::resident_pages();
  std::vector<ValueCounts> counts(256);
  for (ValueCounts& others : counts) others.add(counts.front());
  EXPECT_LT(test::resident_pages() - before, int64_t{16} * 256) << "pages, of 128 MiB if each had its counts";
  EXPECT_EQ(counts.back().highest(), 0.0);
}

TEST(FormatChoice, HasNames) {
  for (const FormatChoice choice :
       {FormatChoice::kLeastSquares, FormatChoice::kPercentile, FormatChoice::kMinMax}) {
    EXPECT_EQ(parse_format_choice(name_of(choice)), choice);
  }
  EXPECT_THAT(error_of([] { parse_format_choice("best"); }), HasSubstr("\"best\", expected squares"));
}

}  // namespace
}  // namespace ds
