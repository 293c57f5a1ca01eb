#include "infer/value_formats.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ds::infer {
namespace {

constexpr int kMinInputFraction = 6;  // of 16-bit pixels: a step of 1/64 where one of the image is about 1/60
constexpr double kInt32 = 2147483648.0;

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

/// The largest sum of magnitudes of a filter's integers.
double largest_filter(const FusedStep& step) {
  const auto row = static_cast<size_t>(step.weight.numel() / step.weight.size(0));
  const std::span<const float> weights = step.weight.span<float>();
  double largest = 0.0;
  for (size_t first = 0; first < weights.size(); first += row) {
    double sum = 0.0;
    for (const float w : weights.subspan(first, row)) sum += std::abs(w);
    largest = std::max(largest, sum);
  }
  return std::ldexp(largest, -step.format->range().p_min);
}

double largest_filter_of_input(const FusedGraph& graph) {
  double largest = 0.0;
  for (const FusedStep& step : graph.steps) {
    if (step.format && step.inputs[0] == 0) largest = std::max(largest, largest_filter(step));
  }
  return largest;
}

}  // namespace

Line pixel_line(const LowerOptions& options, size_t channel) {
  if (options.mean.empty()) return {.scale = 1.0 / 255.0, .shift = 0.0, .pivot = 127.5};
  const double deviation = options.deviation[channel];
  return {.scale = 1.0 / (255.0 * deviation), .shift = -options.mean[channel] / deviation, .pivot = 127.5};
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
  bound_shortcuts();
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

/// What is added is shifted left to the output's fraction bits and those of its multiplier: where it has far
/// more of its own, as a branch that is all but dead, they are below the output's last and only widen that
/// shift.
void ValueFormats::bound_shortcuts() {
  constexpr int kMostBeyond = 16;
  for (const FusedStep& step : graph_.steps) {
    if (step.shortcut < 0) continue;
    int& bits = formats_[at(group(step.shortcut))].fraction_bits;
    bits = std::min(bits, format(step.output).fraction_bits + kMostBeyond);
  }
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

Format ValueFormats::input_format() const {
  const ValueCounts& counts = calibration_.values[0];
  Format chosen{.type = options_.input_bits == 8 ? DType::kI8 : DType::kI16};
  if (options_.input_bits == 8) {
    chosen.fraction_bits = counts.fraction_bits(chosen.lowest(), chosen.highest(), options_.formats);
    return chosen;
  }
  // As many bits as leave the sums of what reads the pixels within 32 bits: few filters of 5 bits reach
  // beyond.
  double magnitude = 0.0;
  for (size_t c = 0; c < static_cast<size_t>(graph_.shapes[0][-1]); ++c) {
    const Line line = pixel_line(options_, c);
    magnitude = std::max({magnitude, std::abs(line.shift), std::abs(line.shift + 255.0 * line.scale)});
  }
  chosen.fraction_bits =
      static_cast<int>(std::floor(std::log2(static_cast<double>(chosen.highest()) / magnitude)));
  while (chosen.fraction_bits > kMinInputFraction &&
         largest_filter_of_input(graph_) * std::ldexp(magnitude, chosen.fraction_bits) >= kInt32) {
    --chosen.fraction_bits;
  }
  return chosen;
}

}  // namespace ds::infer
