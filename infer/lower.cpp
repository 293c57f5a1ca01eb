#include "infer/lower.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/ops.h"

namespace ds::infer {
namespace {

constexpr int64_t kBatch = 64;     // images of calibration at a time
constexpr int kMaxShift = 24;      // k of a multiplier with few digits: beyond it m loses digits instead
constexpr int kMaxFullShift = 40;  // and of 15 bits
constexpr int kResultBits = 30;    // of the largest value of a result, without its sign
constexpr double kCoarsestStep = 0.125;  // of an output, that dropping bits of a sum before it may make
constexpr int kMinInputFraction = 6;  // of 16-bit pixels: a step of 1/64 where one of the image is about 1/60
constexpr double kInt32 = 2147483648.0;

Tensor normalise(const Tensor& images, const LowerOptions& options) {
  Tensor result = Tensor::empty(images.shape());
  const auto channels = static_cast<size_t>(images.size(-1));
  const std::span<const uint8_t> pixels = images.span<uint8_t>();
  const std::span<float> values = result.span<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const float value = static_cast<float>(pixels[i]) / 255.0F;
    const size_t c = i % channels;
    values[i] = options.mean.empty() ? value : (value - options.mean[c]) / options.deviation[c];
  }
  return result;
}

/// Sets of values that must share a format, because nodes move them unchanged.
class FormatGroups {
 public:
  explicit FormatGroups(size_t values) : parents_(values) { std::iota(parents_.begin(), parents_.end(), 0); }

  int find(int value) const {
    while (parents_[static_cast<size_t>(value)] != value) value = parents_[static_cast<size_t>(value)];
    return value;
  }
  void join(int a, int b) { parents_[static_cast<size_t>(find(a))] = find(b); }

 private:
  std::vector<int> parents_;
};

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

/// A real line per channel, y = scale a + shift, through (pivot, y(pivot)) exactly once it is rounded.
struct Line {
  double scale = 0.0;
  double shift = 0.0;
  double pivot = 0.0;
};

class Lowering {
 public:
  Lowering(const FusedGraph& graph, const Calibration& calibration, const LowerOptions& options)
      : graph_(graph),
        calibration_(calibration),
        options_(options),
        groups_(graph.shapes.size()),
        formats_(graph.shapes.size()),
        highest_(graph.shapes.size()),
        node_of_(graph.shapes.size(), -1) {}

  IntegerNet run() && {
    choose_formats();
    add_input();
    for (size_t i = 0; i < graph_.steps.size(); ++i) add(graph_.steps[i], i);
    return IntegerNet(std::move(nodes_));
  }

 private:
  static size_t at(int value) { return static_cast<size_t>(value); }
  const Format& format(int value) const { return formats_[at(groups_.find(value))]; }
  const Node& node_of(int value) const { return nodes_[at(node_of_[at(value)])]; }

  // --- formats

  void choose_formats() {
    for (const FusedStep& step : graph_.steps) {
      if (!moves_values(step)) continue;
      for (const int input : step.inputs) groups_.join(input, step.output);
    }
    const std::vector<bool> positive = never_negative(graph_);
    std::vector<ValueCounts> counts(graph_.shapes.size());
    std::vector<bool> has_sign(graph_.shapes.size(), false);
    for (size_t value = 0; value < graph_.shapes.size(); ++value) {
      if (!is_made(static_cast<int>(value))) continue;
      const auto group = at(groups_.find(static_cast<int>(value)));
      if (!positive[value]) has_sign[group] = true;
      counts[group].add(calibration_.values[value]);
    }
    for (size_t group = 0; group < counts.size(); ++group) {
      Format& chosen = formats_[group];
      chosen.type =
          options_.activation_bits == 16 ? DType::kI16 : (has_sign[group] ? DType::kI8 : DType::kU8);
      const int64_t low = has_sign[group] ? chosen.lowest() : 0;
      chosen.fraction_bits = counts[group].fraction_bits(low, chosen.highest(), options_.formats);
      highest_[group] = chosen.highest();
    }
    take_trained_formats();
    set_input_format(formats_[at(groups_.find(0))]);
    highest_[at(groups_.find(0))] = formats_[at(groups_.find(0))].highest();
  }

  /// Where others share the input's format, it must hold their values too.
  void set_input_format(Format& shared) const {
    const bool alone = std::ranges::none_of(graph_.steps, [&](const FusedStep& step) {
      return step.kind != "fixed_point" && groups_.find(step.output) == groups_.find(0);
    });
    const int others = shared.fraction_bits + (options_.input_bits - options_.activation_bits);
    shared = input_format();
    if (!alone) shared.fraction_bits = std::min(shared.fraction_bits, others);
  }

  bool is_made(int value) const {
    return value == 0 || std::ranges::find(graph_.steps, value, &FusedStep::output) != graph_.steps.end();
  }

  /// Activations that were rounded in training have the format that they were trained with.
  void take_trained_formats() {
    for (const FusedStep& step : graph_.steps) {
      if (step.kind != "fixed_point") continue;
      const auto& trained = std::any_cast<const FixedPointOptions&>(step.options);
      const auto group = at(groups_.find(step.output));
      if (trained.high > static_cast<double>(formats_[group].highest()))
        continue;  // wider than is to be stored
      formats_[group].fraction_bits = trained.fraction_bits;
      highest_[group] = std::min(highest_[group], static_cast<int64_t>(trained.high));
    }
  }

  Format input_format() const {
    const ValueCounts& counts = calibration_.values[0];
    Format chosen{.type = options_.input_bits == 8 ? DType::kI8 : DType::kI16};
    if (options_.input_bits == 8) {
      chosen.fraction_bits = counts.fraction_bits(chosen.lowest(), chosen.highest(), options_.formats);
      return chosen;
    }
    // As many bits as leave the sums of what reads the pixels within 32 bits: few filters of 5 bits reach
    // beyond.
    double magnitude = 0.0;
    for (size_t c = 0; c < input_channels(); ++c) {
      magnitude = std::max({magnitude, std::abs(pixel_line(c).shift),
                            std::abs(pixel_line(c).shift + 255.0 * pixel_line(c).scale)});
    }
    chosen.fraction_bits =
        static_cast<int>(std::floor(std::log2(static_cast<double>(chosen.highest()) / magnitude)));
    while (chosen.fraction_bits > kMinInputFraction &&
           largest_filter_of_input() * std::ldexp(magnitude, chosen.fraction_bits) >= kInt32) {
      --chosen.fraction_bits;
    }
    return chosen;
  }

  double largest_filter_of_input() const {
    double largest = 0.0;
    for (const FusedStep& step : graph_.steps) {
      if (!step.format || step.inputs[0] != 0) continue;
      largest = std::max(largest, largest_filter(step));
    }
    return largest;
  }

  /// The largest sum of magnitudes of a filter's integers.
  static double largest_filter(const FusedStep& step) {
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

  // --- nodes

  size_t input_channels() const { return static_cast<size_t>(graph_.shapes[0][-1]); }

  /// From a pixel to its normalised value.
  Line pixel_line(size_t channel) const {
    if (options_.mean.empty()) return {.scale = 1.0 / 255.0, .shift = 0.0};
    const double deviation = options_.deviation[channel];
    return {.scale = 1.0 / (255.0 * deviation), .shift = -options_.mean[channel] / deviation};
  }

  void add_input() {
    Node node = make_node(NodeKind::kInput, "input", 0);
    node.low = node.format.lowest();
    node.high = node.format.highest();
    for (size_t c = 0; c < input_channels(); ++c) {
      Line line = pixel_line(c);
      line.pivot = 127.5;
      append(line, node.format.fraction_bits, kFullDigits, 0, node.rescale);
    }
    append_node(std::move(node), 0);
  }

  /// With the value's shape and format, and nothing cut off below 0 unless its type does.
  Node make_node(NodeKind kind, const std::string& place, int value) const {
    Node node{.kind = kind, .place = place};
    const Shape& shape = graph_.shapes[at(value)];
    node.shape = Shape(shape.sizes().subspan(1));
    node.format = format(value);
    return node;
  }

  void append_node(Node node, int value) {
    nodes_.push_back(std::move(node));
    node_of_[at(value)] = static_cast<int>(nodes_.size()) - 1;
  }

  void add(const FusedStep& step, size_t index) {
    if (step.kind == "fixed_point") {  // its format is that of the value that it rounds
      node_of_[at(step.output)] = node_of_[at(step.inputs[0])];
      return;
    }
    Node node = make_node(kind_of(step), step.scope, step.output);
    for (const int input : step.inputs) node.inputs.push_back(node_of_[at(input)]);
    if (step.shortcut >= 0) node.shortcut = node_of_[at(step.shortcut)];
    set_options(step, node);
    set_range(step, node);
    if (node.rescaled()) {
      if (is_result(step)) node.format.type = DType::kI32;
      set_rescale(step, lines_of(step, index), node);
    }
    if (step.kind != "global_avg_pool2d") return append_node(std::move(node), step.output);
    Node flat{.kind = NodeKind::kFlatten, .place = step.scope, .inputs = {static_cast<int>(nodes_.size())}};
    flat.shape = node.shape;
    flat.format = node.format;
    node.shape = {1, 1, node.shape[0]};
    nodes_.push_back(std::move(node));
    append_node(std::move(flat), step.output);
  }

  /// What nobody reads but the caller keeps all its bits; a clamp from above would need a format.
  bool is_result(const FusedStep& step) const {
    return step.output == graph_.output && uses_of(step.output) == 0 && !std::isfinite(step.high);
  }

  int64_t uses_of(int value) const {
    int64_t uses = 0;
    for (const FusedStep& step : graph_.steps)
      uses += std::ranges::count(step.inputs, value) + (step.shortcut == value ? 1 : 0);
    return uses;
  }

  static NodeKind kind_of(const FusedStep& step) {
    if (step.kind == "batch_norm" || step.kind == "affine") return NodeKind::kScale;
    if (step.kind == "relu" || step.kind == "relu6") return NodeKind::kClamp;
    if (step.kind == "global_avg_pool2d") return NodeKind::kAvgPool2d;
    for (const char* same : {"conv2d", "linear", "add", "avg_pool2d", "max_pool2d", "subsample2d",
                             "pad_channels", "concat", "flatten"}) {
      if (step.kind == same) return parse_node_kind(same);
    }
    fail("[lower] {} in \"{}\" has no counterpart in an integer net", step.kind, step.scope);
  }

  void set_options(const FusedStep& step, Node& node) const {
    if (step.kind == "conv2d") node.convolution = std::any_cast<const Conv2dOptions&>(step.options);
    if (step.kind == "subsample2d") node.stride = std::any_cast<const Size2d&>(step.options);
    if (step.kind == "pad_channels") node.padding = std::any_cast<const PadChannelsOptions&>(step.options);
    if (step.kind == "max_pool2d" || step.kind == "avg_pool2d") {
      node.pool = std::any_cast<const Pool2dOptions&>(step.options);
      DS_CHECK(step.kind == "max_pool2d" || node.pool.count_padding || node.pool.padding == Size2d(0),
               "[lower] avg_pool2d in \"{}\" leaves its padding out of the divisor, which then differs from "
               "window to "
               "window: an integer net has one divisor",
               step.scope);
    }
    if (step.kind == "global_avg_pool2d") {
      const Shape& x = graph_.shapes[at(step.inputs[0])];
      node.pool = {.kernel = {x[1], x[2]}, .stride = {x[1], x[2]}};
    }
    if (node.filtered()) set_filters(step, node);
  }

  static void set_filters(const FusedStep& step, Node& node) {
    DS_CHECK(step.format,
             "[lower] {} in \"{}\" has float weights, expected powers of two: convert the network first",
             step.kind, step.scope);
    DS_CHECK(step.format->bits <= kMaxPackedBits,
             "[lower] {} in \"{}\" has weights of {} bits, expected at most {}", step.kind, step.scope,
             step.format->bits, kMaxPackedBits);
    node.filters = {.format = *step.format,
                    .shape = step.weight.shape(),
                    .codes = pack(step.weight.span<float>(), *step.format)};
  }

  void set_range(const FusedStep& step, Node& node) const {
    node.low = node.format.lowest();
    node.high = std::max<int64_t>(0, highest_[at(groups_.find(step.output))]);
    const bool clamp = node.kind == NodeKind::kClamp;
    if (clamp || step.low == 0.0) node.low = 0;
    const double top = step.kind == "relu6" ? 6.0 : step.high;
    if (std::isfinite(top)) {
      const double limit = std::floor(std::ldexp(top, node.format.fraction_bits) + 0.5);
      node.high = std::min(node.high, static_cast<int64_t>(limit));
    }
  }

  // --- rescaling

  /// From what is summed (in integers) to the real output.
  std::vector<Line> lines_of(const FusedStep& step, size_t index) const {
    const auto channels = static_cast<size_t>(graph_.shapes[at(step.output)][-1]);
    const std::vector<double>& pivots = calibration_.pivots[index];
    const int p_min = step.format ? step.format->range().p_min : 0;
    double unit = std::ldexp(1.0, p_min - format(step.inputs[0]).fraction_bits);  // of a sum
    double mean_of_sum = 1.0;
    if (step.kind == "avg_pool2d" || step.kind == "global_avg_pool2d")
      mean_of_sum = 1.0 / static_cast<double>(window_of(step));
    std::vector<Line> lines(channels);
    for (size_t c = 0; c < channels; ++c) {
      Line& line = lines[c];
      double scale = step.scale.empty() ? 1.0 : step.scale[c];
      line.shift = step.shift.empty() ? 0.0 : step.shift[c];
      if (step.kind == "affine") {
        const auto& affine = std::any_cast<const AffineOptions&>(step.options);
        scale = affine.scale;
        line.shift = affine.shift;
      }
      line.scale = scale * mean_of_sum * unit;
      if (!pivots.empty()) line.pivot = pivots[c] / (mean_of_sum * unit);
    }
    return lines;
  }

  int64_t window_of(const FusedStep& step) const {
    if (step.kind == "global_avg_pool2d") {
      const Shape& x = graph_.shapes[at(step.inputs[0])];
      return x[1] * x[2];
    }
    const auto& pool = std::any_cast<const Pool2dOptions&>(step.options);
    return pool.kernel.height * pool.kernel.width;
  }

  void set_rescale(const FusedStep& step, const std::vector<Line>& lines, Node& node) const {
    if (node.format.type == DType::kI32) return set_result(step, lines, node);
    int k_min = 0;
    if (node.shortcut >= 0) {
      k_min = std::max(0, nodes_[at(node.shortcut)].format.fraction_bits - node.format.fraction_bits);
    }
    const auto rescale = [&](int pre_shift) {
      Rescale result{.pre_shift = pre_shift};
      for (const Line& line : lines) append(line, node.format.fraction_bits, options_.digits, k_min, result);
      return result;
    };
    node.rescale = rescale(0);
    const double sums = bound_of_sums(step, node);
    for (int pre_shift = 0; options_.digits != kFullDigits; ++pre_shift) {
      if (pre_shift > 0 && coarsest_step(lines, node, pre_shift) > kCoarsestStep)
        return;  // 64-bit sums, then
      const Rescale tried = rescale(pre_shift);
      if (largest_intermediate(tried, sums, node) >= kInt32) continue;
      node.rescale = tried;
      return;
    }
  }

  /// The output's units that 2^pre_shift units of a sum make, in the worst channel.
  static double coarsest_step(const std::vector<Line>& lines, const Node& node, int pre_shift) {
    double step = 0.0;
    for (const Line& line : lines) step = std::max(step, std::abs(line.scale));
    return std::ldexp(step, node.format.fraction_bits + pre_shift);
  }

  double bound_of_sums(const FusedStep& step, const Node& node) const {
    const Node& x = node_of(step.inputs[0]);
    const auto magnitude = static_cast<double>(std::max(-x.low, x.high));
    if (node.filtered()) return magnitude * largest_filter(step);
    return node.kind == NodeKind::kAvgPool2d ? magnitude * static_cast<double>(window_of(step)) : magnitude;
  }

  double largest_intermediate(const Rescale& rescale, double sums, const Node& node) const {
    double largest = 0.0;
    for (size_t c = 0; c < rescale.multiplier.size(); ++c) {
      const int k = rescale.shift[c];
      double sum = (std::ldexp(sums, -rescale.pre_shift) + 1.0) *
                       std::abs(static_cast<double>(rescale.multiplier[c])) +
                   std::abs(static_cast<double>(rescale.addend[c])) + std::ldexp(0.5, k);
      if (node.shortcut >= 0) {
        const Node& shortcut = nodes_[at(node.shortcut)];
        const auto magnitude = static_cast<double>(std::max(-shortcut.low, shortcut.high));
        sum += std::ldexp(magnitude, k + node.format.fraction_bits - shortcut.format.fraction_bits);
      }
      largest = std::max(largest, sum);
    }
    return largest;
  }

  /// The multiplier nearest to the line's scale, and the addend with which the rounded line passes through
  /// the pivot.
  static void append(const Line& line, int fraction_bits, int digits, int k_min, Rescale& rescale) {
    const double unit = std::ldexp(1.0, fraction_bits);
    const double scale = std::ldexp(line.scale * unit, rescale.pre_shift);
    const double pivot = std::ldexp(line.pivot, -rescale.pre_shift);
    const Multiplier m = nearest_multiplier(
        scale, digits, k_min, std::max(k_min, digits == kFullDigits ? kMaxFullShift : kMaxShift));
    rescale.multiplier.push_back(static_cast<int32_t>(m.m));
    rescale.shift.push_back(m.k);
    rescale.addend.push_back(std::llround(std::ldexp(line.shift * unit + (scale - m.value()) * pivot, m.k)));
  }

  /// A result has one format for all classes, with as many bits as its bound leaves of 32, and full
  /// multipliers. Where every line has the same power of two as its scale, as after a linear layer, the sums
  /// themselves are the result.
  void set_result(const FusedStep& step, const std::vector<Line>& lines, Node& node) const {
    node.low = node.low == 0 ? 0 : node.format.lowest();
    node.high = node.format.highest();
    double largest = 0.0;
    double shift = 0.0;
    bool exact = true;
    int exponent = 0;
    for (const Line& line : lines) {
      largest = std::max(largest, std::abs(line.scale));
      shift = std::max(shift, std::abs(line.shift));
      exact = exact && line.scale == lines[0].scale && std::frexp(line.scale, &exponent) == 0.5;
    }
    std::frexp(largest * bound_of_sums(step, node) + shift, &exponent);
    node.format.fraction_bits = kResultBits - exponent;
    if (exact) node.format.fraction_bits = std::min(node.format.fraction_bits, -std::ilogb(largest));
    for (const Line& line : lines) append(line, node.format.fraction_bits, kFullDigits, 0, node.rescale);
    if (!exact || node.format.fraction_bits != -std::ilogb(largest)) return;
    for (size_t c = 0; c < lines.size(); ++c) {
      node.rescale.multiplier[c] = 1;
      node.rescale.shift[c] = 0;
      node.rescale.addend[c] = std::llround(std::ldexp(lines[c].shift, node.format.fraction_bits));
    }
  }

  const FusedGraph& graph_;
  const Calibration& calibration_;
  const LowerOptions& options_;
  FormatGroups groups_;
  std::vector<Format> formats_;  // by group
  std::vector<int64_t>
      highest_;  // likewise: the largest integer, below the format's where training saturated there
  std::vector<int> node_of_;  // by value
  std::vector<Node> nodes_;
};

void check_options(const LowerOptions& options, const Shape& input) {
  DS_CHECK(options.activation_bits == 8 || options.activation_bits == 16,
           "[lower] activations of {} bits, expected 8 or 16", options.activation_bits);
  DS_CHECK(options.input_bits == 8 || options.input_bits == 16,
           "[lower] an input of {} bits, expected 8 or 16", options.input_bits);
  DS_CHECK(options.digits >= 0 && options.digits <= 4,
           "[lower] multipliers of {} digits, expected 1 to 4, or 0 for all", options.digits);
  DS_CHECK(options.mean.size() == options.deviation.size() &&
               (options.mean.empty() || options.mean.size() == static_cast<size_t>(input[-1])),
           "[lower] {} means and {} deviations, expected one of each a channel, or none", options.mean.size(),
           options.deviation.size());
  for (const float deviation : options.deviation) {
    DS_CHECK(std::isfinite(deviation) && deviation > 0.0F, "[lower] a deviation of {}, expected more than 0",
             deviation);
  }
}

}  // namespace

IntegerNet lower(const Graph& graph, const Tensor& images, const LowerOptions& options) {
  const FusedGraph fused = fuse(graph);
  DS_CHECK(images.dtype() == DType::kU8 && images.rank() == 4 && images.size(0) >= 1 &&
               images.shape().with(0, 1) == fused.shapes[0].with(0, 1),
           "[lower] images are {} {}, expected u8 {} with any N", name_of(images.dtype()),
           images.shape().str(), fused.shapes[0].str());
  check_options(options, fused.shapes[0]);
  std::vector<Tensor> batches;
  for (int64_t first = 0; first < images.size(0); first += kBatch) {
    batches.push_back(normalise(images.slice(first, std::min(first + kBatch, images.size(0))), options));
  }
  return Lowering(fused, calibrate(fused, batches), options).run();
}

}  // namespace ds::infer
