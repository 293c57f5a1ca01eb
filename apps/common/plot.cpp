#include "apps/common/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

namespace ds::apps {

namespace {

constexpr double kWidth = 480;  // of one chart, in pixels
constexpr double kHeight = 340;
constexpr double kLeft = 64;  // margins around the plotting area
constexpr double kRight = 16;
constexpr double kTop = 36;
constexpr double kBottom = 48;
constexpr std::array kColours = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"};

std::string escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

/// The range of the finite values, widened when it is a single point; [0, 1] when there is none.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  Range widened() const {
    if (!(low <= high)) return {0.0, 1.0};
    if (low < high) return *this;
    const double margin = low == 0.0 ? 1.0 : 0.5 * std::abs(low);
    return {low - margin, high + margin};
  }
};

/// Maps values to pixels of one chart.
struct Axes {
  Range x;
  Range y;
  double px(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double py(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

void draw_text(std::string& svg, double x, double y, std::string_view anchor, std::string_view text) {
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape(text));
}

void draw_axes(std::string& svg, const Chart& chart, const Axes& axes, const std::vector<double>& x_ticks,
               const std::vector<double>& y_ticks) {
  for (const double tick : x_ticks) {
    svg += fmt::format("<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"#ddd\"/>\n", axes.px(tick), kTop,
                       kHeight - kBottom);
    draw_text(svg, axes.px(tick), kHeight - kBottom + 16, "middle", fmt::format("{:g}", tick));
  }
  for (const double tick : y_ticks) {
    svg += fmt::format("<path d=\"M{0:.1f} {1:.1f}H{2:.1f}\" stroke=\"#ddd\"/>\n", kLeft, axes.py(tick),
                       kWidth - kRight);
    draw_text(svg, kLeft - 6, axes.py(tick) + 4, "end", fmt::format("{:g}", tick));
  }
  svg += fmt::format("<path d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\" stroke=\"#333\" fill=\"none\"/>\n", kLeft,
                     kTop, kHeight - kBottom, kWidth - kRight);
  draw_text(svg, kWidth / 2, 20, "middle", chart.title);
  draw_text(svg, (kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", chart.x_label);
  svg +=
      fmt::format("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                  (kTop + kHeight - kBottom) / 2, escape(chart.y_label));
}

/// A line through the finite points; a marker on each where they are few, so that one epoch shows too.
void draw_series(std::string& svg, const std::vector<double>& x, const Series& series, const Axes& axes,
                 std::string_view colour) {
  std::string path;
  std::string markers;
  bool pen_down = false;
  for (size_t i = 0; i < std::min(x.size(), series.values.size()); ++i) {
    const double value = series.values[i];
    if (!std::isfinite(value)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? 'L' : 'M', axes.px(x[i]), axes.py(value));
    markers += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>\n", axes.px(x[i]),
                           axes.py(value), colour);
    pen_down = true;
  }
  if (!path.empty()) {
    svg += fmt::format("<path d=\"{}\" stroke=\"{}\" stroke-width=\"1.8\" fill=\"none\"/>\n", path, colour);
  }
  if (x.size() <= 40) svg += markers;
}

/// In the corner at the right that the curves leave free: above where they fall, below where they rise.
void draw_legend(std::string& svg, const Chart& chart) {
  if (chart.series.empty()) return;
  const std::vector<double>& first = chart.series.front().values;
  const bool rises = !first.empty() && first.back() > first.front();
  const double height = 16.0 * static_cast<double>(chart.series.size()) + 6;
  double y = (rises ? kHeight - kBottom - height - 8 : kTop) + 14;
  svg += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"134\" height=\"{:.1f}\" fill=\"white\" opacity=\"0.8\"/>\n",
      kWidth - kRight - 140, y - 14, height);
  for (size_t i = 0; i < chart.series.size(); ++i, y += 16) {
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}h18\" stroke=\"{}\" stroke-width=\"2.5\"/>\n",
                       kWidth - kRight - 132, y - 4, kColours[i % kColours.size()]);
    draw_text(svg, kWidth - kRight - 108, y, "start", chart.series[i].name);
  }
}

void draw_chart(std::string& svg, const Chart& chart) {
  Axes axes;
  for (const double x : chart.x) axes.x.include(x);
  for (const Series& series : chart.series) {
    for (const double value : series.values) axes.y.include(value);
  }
  axes.x = axes.x.widened();
  axes.y = axes.y.widened();
  const double margin = 0.04 * (axes.y.high - axes.y.low);  // keeps lines off the frame
  axes.y = {axes.y.low - margin, axes.y.high + margin};
  auto x_ticks = ticks(axes.x.low, axes.x.high, 6);
  std::erase_if(x_ticks, [](double x) { return x != std::round(x); });  // epochs and steps are whole
  const auto y_ticks = ticks(axes.y.low, axes.y.high, 6);
  draw_axes(svg, chart, axes, x_ticks, y_ticks);
  for (size_t i = 0; i < chart.series.size(); ++i) {
    draw_series(svg, chart.x, chart.series[i], axes, kColours[i % kColours.size()]);
  }
  draw_legend(svg, chart);
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  const double raw = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  const double fraction = raw / power;
  const double step = power * (fraction <= 1.0 ? 1.0 : fraction <= 2.0 ? 2.0 : fraction <= 5.0 ? 5.0 : 10.0);
  std::vector<double> result;
  const auto first = static_cast<int64_t>(std::ceil(low / step - 1e-9));
  const auto last = static_cast<int64_t>(std::floor(high / step + 1e-9));
  for (int64_t i = first; i <= last; ++i) result.push_back(static_cast<double>(i) * step);
  return result;
}

std::string render_svg(const std::vector<Chart>& charts) {
  const double width = kWidth * static_cast<double>(charts.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:g}\" height=\"{1:g}\" viewBox=\"0 0 {0:g} "
      "{1:g}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, kHeight);
  for (size_t i = 0; i < charts.size(); ++i) {
    svg += fmt::format("<g transform=\"translate({:g} 0)\">\n", kWidth * static_cast<double>(i));
    draw_chart(svg, charts[i]);
    svg += "</g>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace ds::apps
