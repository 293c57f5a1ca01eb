#include "infer/value_formats.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "infer/arithmetic.h"
#include "infer/rescale_width.h"

namespace ds::infer {
namespace {

constexpr int kMinInputFraction = 6;  // of 16-bit pixels: a step of 1/64 where one of the image is about 1/60
constexpr int kMostBeyond = 16;       // fraction bits that what is added has beyond those of the sum
constexpr int kMostOfSum = 24;  // and the sum beyond those of what is added: together 40, see check_addition

size_t at(int value) { return static_cast<size_t>(value); }

bool moves_values(const FusedStep& step) {
  static const std::vector<std::string> kinds = {"relu",         "relu6",  "max_pool2d", "subsample2d",
                                                 "pad_channels", "concat", "flatten",    "fixed_point"};
  return std::ranges::find(kinds, step.kind) != kinds.end();
}

/// Whether values can be negative is the network's structure's to say, not the samples'.
std::vector<bool> never_negative(const FusedGraph& graph) {
  std::vector<bool> result(graph.shapes.size(), false);
  for (const FusedStep& step : graph.steps) {
    const bool inputs =
        std::ranges::all_of(step.inputs, [&](int i) { return result[static_cast<size_t>(i)]; });
    const bool keeps = moves_values(step) || step.kind == "avg_pool2d" || step.kind == "global_avg_pool2d" ||
                       step.kind == "add";
    result[static_cast<size_t>(step.output)] =
        step.low >= 0.0 || step.kind == "relu" || step.kind == "relu6" || (keeps && inputs);
  }
  return result;
}

bool is_made(const FusedGraph& graph, int value) {
  return value == 0 || std::ranges::find(graph.steps, value, &FusedStep::output) != graph.steps.end();
}

/// Of one filter's integers: the sums of those above and of those below 0, in magnitude.
struct FilterSums {
  double positive = 0.0;
  double negative = 0.0;

  /// The largest sum of values in a range that the filter can give, in magnitude.
  double largest(const Interval& values) const {
    const auto low = static_cast<double>(-values.low);
    const auto high = static_cast<double>(values.high);
    return std::max(positive * high + negative * low, positive * low + negative * high);
  }
};

/// Which values are the image's, moved or not. (A concatenation with others has their range.)
std::vector<bool> pixel_values(const FusedGraph& graph) {
  std::vector<bool> result(graph.shapes.size(), false);
  result[0] = true;
  for (const FusedStep& step : graph.steps) {
    const bool inputs = std::ranges::all_of(step.inputs, [&](int i) -> bool { return result[at(i)]; });
    if (moves_values(step) && inputs) result[at(step.output)] = true;
  }
  return result;
}

/// Those of all filters that read pixels.
std::vector<FilterSums> pixel_filters(const FusedGraph& graph) {
  const std::vector<bool> pixels = pixel_values(graph);
  std::vector<FilterSums> filters;
  for (const FusedStep& step : graph.steps) {
    if (!step.format || !pixels[at(step.inputs[0])]) continue;
    const double unit = std::ldexp(1.0, -step.format->range().p_min);
    const auto row = static_cast<size_t>(step.weight.numel() / step.weight.size(0));
    const std::span<const float> weights = step.weight.span<float>();
    for (size_t first = 0; first < weights.size(); first += row) {
      FilterSums& sums = filters.emplace_back();
      for (const float w : weights.subspan(first, row)) {
        (w > 0.0F ? sums.positive : sums.negative) += unit * std::abs(w);
      }
    }
  }
  return filters;
}

Line pixel_line(const LowerOptions& options, size_t channel) {
  if (options.mean.empty()) return {.scale = 1.0 / 255.0, .shift = 0.0, .pivot = 127.5};
  const double deviation = options.deviation[channel];
  return {.scale = 1.0 / (255.0 * deviation), .shift = -options.mean[channel] / deviation, .pivot = 127.5};
}

}  // namespace

Rescale pixel_rescale(const LowerOptions& options, int64_t channels, int fraction_bits) {
  Rescale rescale;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    append_line(pixel_line(options, c), fraction_bits, kFullDigits, 0, rescale);
  }
  return rescale;
}

/// Lines rise or fall: their ends are those of the range.
Interval pixel_range(const Rescale& rescale, const Format& format) {
  Interval range;
  for (size_t c = 0; c < rescale.multiplier.size(); ++c) {
    for (const int64_t pixel : {0, 255}) {
      const int64_t line = pixel * rescale.multiplier[c] + rescale.addend[c];
      const int64_t value =
          saturate(shift_right_rounded(line, rescale.shift[c]), format.lowest(), format.highest());
      range.low = std::min(range.low, value);
      range.high = std::max(range.high, value);
    }
  }
  return range;
}

ValueFormats::ValueFormats(const FusedGraph& graph, const Calibration& calibration,
                           const LowerOptions& options)
    : graph_(graph),
      calibration_(calibration),
      options_(options),
      parents_(graph.shapes.size()),
      formats_(graph.shapes.size()),
      lowest_(graph.shapes.size()),
      highest_(graph.shapes.size()),
      floors_(graph.shapes.size(), false) {
  std::iota(parents_.begin(), parents_.end(), 0);
  join_moved();
  choose();
  take_trained();
  bound_operands();
  set_input();
}

int ValueFormats::group(int value) const {
  while (parents_[at(value)] != value) value = parents_[at(value)];
  return value;
}

void ValueFormats::join_moved() {
  for (const FusedStep& step : graph_.steps) {
    if (!moves_values(step)) continue;
    for (const int input : step.inputs) parents_[at(group(input))] = group(step.output);
  }
}

void ValueFormats::choose() {
  const std::vector<bool> positive = never_negative(graph_);
  std::vector<ValueCounts> counts(graph_.shapes.size());
  std::vector<bool> has_sign(graph_.shapes.size(), false);
  for (size_t value = 0; value < graph_.shapes.size(); ++value) {
    if (!is_made(graph_, static_cast<int>(value))) continue;
    const size_t owner = at(group(static_cast<int>(value)));
    if (!positive[value]) has_sign[owner] = true;
    counts[owner].add(calibration_.values[value]);
  }
  for (size_t group = 0; group < counts.size(); ++group) {
    Format& chosen = formats_[group];
    chosen.type = options_.activation_bits == 16 ? DType::kI16 : (has_sign[group] ? DType::kI8 : DType::kU8);
    const int64_t low = has_sign[group] ? chosen.lowest() : 0;
    chosen.fraction_bits = counts[group].fraction_bits(low, chosen.highest(), options_.formats);
    lowest_[group] = chosen.lowest();
    highest_[group] = chosen.highest();
  }
}

/// Activations that were rounded in training have the format that they were trained with.
void ValueFormats::take_trained() {
  for (const FusedStep& step : graph_.steps) {
    if (step.kind != "fixed_point") continue;
    const auto& trained = std::any_cast<const FixedPointOptions&>(step.options);
    const size_t owner = at(group(step.output));
    if (trained.high > static_cast<double>(formats_[owner].highest()))
      continue;  // wider than is to be stored
    formats_[owner].fraction_bits = trained.fraction_bits;
    lowest_[owner] = std::max(lowest_[owner], static_cast<int64_t>(trained.low));
    highest_[owner] = std::min(highest_[owner], static_cast<int64_t>(trained.high));
    floors_[owner] = trained.rounding == Rounding::kFloor;
  }
}

/// What is added is shifted left to the fraction bits of the most precise value. A branch that is all but
/// dead has far more of them than the output: they are below the output's last and only widen that shift, and
/// that of a multiplier. An output whose operands cancel each other out has far more than those. One bound
/// may lower another.
void ValueFormats::bound_operands() {
  for (bool changed = true; changed;) {
    changed = false;
    for (const FusedStep& step : graph_.steps) changed = bound_operands_of(step) || changed;
  }
}

/// Whether that changed anything.
bool ValueFormats::bound_operands_of(const FusedStep& step) {
  const bool adds = step.kind == "add";
  std::vector<int> operands = adds ? step.inputs : std::vector<int>();
  if (step.shortcut >= 0) operands.push_back(step.shortcut);
  bool changed = false;
  for (const int operand : operands) {
    changed = bound_fraction_bits(operand, format(step.output).fraction_bits + kMostBeyond) || changed;
    if (adds)
      changed = bound_fraction_bits(step.output, format(operand).fraction_bits + kMostOfSum) || changed;
  }
  return changed;
}

bool ValueFormats::bound_fraction_bits(int value, int most) {
  int& bits = formats_[at(group(value))].fraction_bits;
  const bool beyond = bits > most;
  if (beyond) bits = most;
  return beyond;
}

/// Where others share the input's format, it must hold their values too.
void ValueFormats::set_input() {
  const bool alone = std::ranges::none_of(graph_.steps, [&](const FusedStep& step) {
    return step.kind != "fixed_point" && group(step.output) == group(0);
  });
  Format& shared = formats_[at(group(0))];
  const int others = shared.fraction_bits + (options_.input_bits - options_.activation_bits);
  shared = input_format();
  if (!alone) shared.fraction_bits = std::min(shared.fraction_bits, others);
  lowest_[at(group(0))] = shared.lowest();
  highest_[at(group(0))] = shared.highest();
  floors_[at(group(0))] = false;  // pixels are rounded once, to more bits than those of training
}

/// Of 16 bits, it has the most fraction bits that leave the sums of what reads the pixels, and their
/// rescaling, within 32 bits: few filters of 5 bits reach beyond. Where no format does that, it has all.
Format ValueFormats::input_format() const {
  Format chosen{.type = options_.input_bits == 8 ? DType::kI8 : DType::kI16};
  if (options_.input_bits == 8) {
    chosen.fraction_bits =
        calibration_.values[0].fraction_bits(chosen.lowest(), chosen.highest(), options_.formats);
    return chosen;
  }
  const std::vector<FilterSums> filters = pixel_filters(graph_);
  const int most = most_input_bits(chosen.type);
  for (int bits = most; bits >= kMinInputFraction; --bits) {
    chosen.fraction_bits = bits;
    const Interval pixels = pixel_range(pixel_rescale(options_, graph_.shapes[0][-1], bits), chosen);
    const bool fits = std::ranges::all_of(filters, [&](const FilterSums& sums) {
      return sums.largest(pixels) <= static_cast<double>(kLargestNarrowSum);
    });
    if (fits) return chosen;
  }
  chosen.fraction_bits = most;
  return chosen;
}

/// With which the type holds all pixels.
int ValueFormats::most_input_bits(DType type) const {
  double magnitude = 0.0;
  for (size_t c = 0; c < static_cast<size_t>(graph_.shapes[0][-1]); ++c) {
    const Line line = pixel_line(options_, c);
    magnitude = std::max({magnitude, std::abs(line.shift), std::abs(line.shift + 255.0 * line.scale)});
  }
  const Format whole{.type = type};
  return static_cast<int>(std::floor(std::log2(static_cast<double>(whole.highest()) / magnitude)));
}

}  // namespace ds::infer
