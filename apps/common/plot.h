// Line charts as plain SVG: axes, ticks, legend; values that are not finite leave a gap.
#pragma once

#include <string>
#include <vector>

namespace ds::apps {

struct Series {
  std::string name;
  std::vector<double> values;  // one for each x
};

/// One chart; charts of a figure stand side by side.
struct Chart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<double> x;
  std::vector<Series> series;
};

/// About `count` round numbers (1, 2 or 5 times a power of ten) that span [low, high].
std::vector<double> ticks(double low, double high, int count);

std::string render_svg(const std::vector<Chart>& charts);

}  // namespace ds::apps
