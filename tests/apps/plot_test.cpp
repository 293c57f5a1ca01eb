#include "apps/common/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ds::apps {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointwise;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

Chart chart(std::vector<double> values) {
  Chart result{.title = "t", .x_label = "x", .y_label = "y", .x = {}, .series = {{"s", values}}};
  for (size_t i = 0; i < values.size(); ++i) result.x.push_back(static_cast<double>(i + 1));
  return result;
}

TEST(Plot, TicksAreRoundNumbersInsideTheRange) {
  EXPECT_THAT(ticks(0.0, 1.0, 5), Pointwise(DoubleNear(1e-12), {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}));
  EXPECT_THAT(ticks(1.0, 30.0, 6), Pointwise(DoubleNear(1e-12), {5.0, 10.0, 15.0, 20.0, 25.0, 30.0}));
  EXPECT_THAT(ticks(-1e-3, 1e-3, 4), Pointwise(DoubleNear(1e-15), {-1e-3, -5e-4, 0.0, 5e-4, 1e-3}));
}

TEST(Plot, AtLeastTwoTicksInAnyRange) {
  for (const double low : {-7.3, 0.0, 0.123, 91.7}) {
    for (const double span : {1e-6, 0.013, 0.9, 3.1, 77.0, 1e5}) {
      const auto found = ticks(low, low + span, 6);
      EXPECT_GE(found.size(), 2U) << low << " + " << span;
      EXPECT_LE(found.size(), 8U) << low << " + " << span;
    }
  }
}

TEST(Plot, DrawsAxesTicksLegendAndOneLineASeries) {
  Chart two = chart({1.0, 0.5, 0.25});
  two.series.push_back({"other", {0.9, 0.8, 0.7}});
  const std::string svg = render_svg({two, chart({1.0, 2.0})});
  EXPECT_THAT(svg, HasSubstr("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\""));
  EXPECT_THAT(svg, HasSubstr(">other</text>"));
  EXPECT_EQ(count(svg, "stroke-width=\"1.8\""), 3);
  EXPECT_EQ(count(svg, "<g "), count(svg, "</g>"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

TEST(Plot, OneEpochIsAMarker) {
  const std::string svg = render_svg({chart({0.7})});
  EXPECT_EQ(count(svg, "<circle"), 1);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Plot, ValuesThatAreNotFiniteLeaveAGap) {
  const std::string svg = render_svg({chart({1.0, 2.0, kNan, kInfinity, 3.0, 4.0})});
  EXPECT_EQ(count(svg, "<circle"), 4);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  const size_t line = svg.find("stroke-width=\"1.8\"");
  const size_t begin = svg.rfind("<path", line);
  EXPECT_EQ(count(svg.substr(begin, line - begin), "M"), 2) << "the pen is lifted once";
}

TEST(Plot, NothingToDrawStillGivesAxes) {
  for (const auto& values : {std::vector<double>{}, std::vector<double>{kNan, kNan}}) {
    const std::string svg = render_svg({chart(values)});
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
    EXPECT_EQ(count(svg, "<circle"), 0);
  }
}

TEST(Plot, TextIsEscaped) {
  Chart escaped = chart({1.0});
  escaped.title = "a < b & \"c\"";
  EXPECT_THAT(render_svg({escaped}), HasSubstr("a &lt; b &amp; &quot;c&quot;"));
}

}  // namespace
}  // namespace ds::apps
