#include "infer/rescale_fit.h"

#include <gmock/gmock.h>

#include "tests/layers/support.h"

namespace ds::infer {
namespace {

using test::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Channels that a norm has switched off, one of them with a bias that no shift brings within 32 bits.
TEST(RescaleFit, EndsWhereNothingIsScaled) {
  const std::vector<Line> lines = {{.scale = 0.0, .shift = 1e9}, {.scale = 0.0, .shift = 0.5}};
  const Rescale fitted =
      fit_rescale(lines, {.type = DType::kU8, .fraction_bits = 5}, {.largest_sum = 1000.0});
  EXPECT_EQ(fitted.pre_shift, 0);
  EXPECT_THAT(fitted.multiplier, ElementsAre(0, 0));
  EXPECT_THAT(fitted.addend, ElementsAre(32'000'000'000, 16));
  EXPECT_THAT(fitted.shift, ElementsAre(0, 0));
}

TEST(RescaleFit, SaysWhatMakesAMultiplierTooLarge) {
  const auto error = [](double scale, int k_min) {
    Rescale rescale;
    return error_of([&] { append_line({.scale = scale}, 0, 3, k_min, rescale); });
  };
  EXPECT_THAT(error(1e10, 0), AllOf(HasSubstr("expected 32 bits: a unit of the sums is 2^31 units"),
                                    Not(HasSubstr("shortcut"))));
  EXPECT_THAT(error(1e4, 25), HasSubstr("a shortcut has 25 fraction bits more than the output"));
  EXPECT_EQ(error(1e4, 15), "");
}

}  // namespace
}  // namespace ds::infer
