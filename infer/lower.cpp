#include "infer/lower.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "infer/integer_net_check.h"
#include "infer/rescale_fit.h"
#include "infer/value_formats.h"

namespace ds::infer {
namespace {

constexpr int64_t kBatch = 64;  // images of calibration at a time

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

/// A batch norm that alone reads the image becomes part of its normalisation, which the input node holds at
/// the image's precision: s ((p - mean) / deviation) + t = (p - (mean - t deviation / s)) / (deviation / s).
void fold_into_normalisation(FusedGraph& graph, LowerOptions& options) {
  if (graph.steps.empty()) return;
  const FusedStep& first = graph.steps.front();
  const bool alone = std::ranges::count_if(graph.steps, [](const FusedStep& step) {
                       return step.shortcut == 0 || std::ranges::count(step.inputs, 0) > 0;
                     }) == 1;
  const bool unchanged = first.kind == "batch_norm" && first.inputs[0] == 0 && first.shortcut < 0 &&
                         !first.clamped() && first.output != graph.output &&
                         std::ranges::all_of(first.scale, [](double s) { return s > 0.0; });
  if (!alone || !unchanged) return;
  options.mean.resize(first.scale.size(), 0.0F);
  options.deviation.resize(first.scale.size(), 1.0F);
  for (size_t c = 0; c < first.scale.size(); ++c) {
    const double deviation = options.deviation[c] / first.scale[c];
    options.mean[c] = static_cast<float>(options.mean[c] - first.shift[c] * deviation);
    options.deviation[c] = static_cast<float>(deviation);
  }
  const int normalised = first.output;
  graph.steps.erase(graph.steps.begin());
  for (FusedStep& step : graph.steps) {
    std::ranges::replace(step.inputs, normalised, 0);
    if (step.shortcut == normalised) step.shortcut = 0;
  }
}

/// The node of a step, or nothing: the rounding of a value, which is its format, has none of its own.
std::optional<NodeKind> kind_of(const FusedStep& step) {
  if (step.kind == "fixed_point") return std::nullopt;
  if (step.kind == "batch_norm" || step.kind == "affine") return NodeKind::kScale;
  if (step.kind == "relu" || step.kind == "relu6") return NodeKind::kClamp;
  if (step.kind == "global_avg_pool2d") return NodeKind::kAvgPool2d;
  for (const char* same : {"conv2d", "linear", "add", "avg_pool2d", "max_pool2d", "subsample2d",
                           "pad_channels", "concat", "flatten"}) {
    if (step.kind == same) return parse_node_kind(same);
  }
  fail("[lower] {} in \"{}\" has no counterpart in an integer net", step.kind, step.scope);
}

/// Whether every window of an average has the same divisor.
bool divides_alike(const Pool2dOptions& pool, const Shape& x, const Shape& y) {
  const bool within =
      (y[1] - 1) * pool.stride.height + pool.kernel.height <= x[1] + 2 * pool.padding.height &&
      (y[2] - 1) * pool.stride.width + pool.kernel.width <= x[2] + 2 * pool.padding.width;
  return within && (pool.count_include_pad || pool.padding == Size2d(0));
}

/// Refuses what an integer net cannot do, before images are run.
void check_steps(const FusedGraph& graph) {
  for (const FusedStep& step : graph.steps) {
    kind_of(step);
    DS_CHECK(!step.weight.defined() || step.format,
             "[lower] {} in \"{}\" has float weights, expected powers of two: convert the network first",
             step.kind, step.scope);
    DS_CHECK(!step.format || step.format->bits <= kMaxPackedBits,
             "[lower] {} in \"{}\" has weights of {} bits, expected at most {}", step.kind, step.scope,
             step.format->bits, kMaxPackedBits);
    DS_CHECK(step.kind != "avg_pool2d" || divides_alike(std::any_cast<const Pool2dOptions&>(step.options),
                                                        graph.shapes[static_cast<size_t>(step.inputs[0])],
                                                        graph.shapes[static_cast<size_t>(step.output)]),
             "[lower] avg_pool2d in \"{}\" leaves what it does not count out of the divisor, which then "
             "differs from window to window: an integer net has one divisor",
             step.scope);
  }
}

class Lowering {
 public:
  Lowering(const FusedGraph& graph, const Calibration& calibration, const LowerOptions& options)
      : graph_(graph),
        calibration_(calibration),
        options_(options),
        formats_(graph, calibration, options),
        node_of_(graph.shapes.size(), -1) {}

  IntegerNet run() && {
    add_input();
    for (size_t i = 0; i < graph_.steps.size(); ++i) add(graph_.steps[i], i);
    DS_CHECK(node_of_[at(graph_.output)] == static_cast<int>(nodes_.size()) - 1,
             "[lower] the network's output is not what it computes last");
    return IntegerNet(std::move(nodes_));
  }

 private:
  static size_t at(int value) { return static_cast<size_t>(value); }
  const Node& node_of(int value) const { return nodes_[at(node_of_[at(value)])]; }

  void add_input() {
    Node node = make_node(NodeKind::kInput, "input", 0);
    node.rescale = pixel_rescale(options_, node.shape[-1], node.format.fraction_bits);
    take_range(pixel_range(node.rescale, node.format), node);
    append_node(std::move(node), 0);
  }

  /// With the value's shape and format.
  Node make_node(NodeKind kind, const std::string& place, int value) const {
    Node node{.kind = kind, .place = place};
    const Shape& shape = graph_.shapes[at(value)];
    node.shape = Shape(shape.sizes().subspan(1));
    node.format = formats_.format(value);
    return node;
  }

  void append_node(Node node, int value) {
    nodes_.push_back(std::move(node));
    node_of_[at(value)] = static_cast<int>(nodes_.size()) - 1;
  }

  void add(const FusedStep& step, size_t index) {
    const std::optional<NodeKind> kind = kind_of(step);
    if (!kind) {
      node_of_[at(step.output)] = node_of_[at(step.inputs[0])];
      return;
    }
    Node node = make_node(*kind, step.scope, step.output);
    for (const int input : step.inputs) node.inputs.push_back(node_of_[at(input)]);
    if (step.shortcut >= 0) node.shortcut = node_of_[at(step.shortcut)];
    set_options(step, node);
    set_range(step, node);
    if (node.rescaled()) {
      set_rescale(step, index, node);
    }
    if (step.kind != "global_avg_pool2d") return append_node(std::move(node), step.output);
    Node flat{.kind = NodeKind::kFlatten, .place = step.scope, .inputs = {static_cast<int>(nodes_.size())}};
    flat.shape = node.shape;
    flat.format = node.format;
    take_range({.low = node.low, .high = node.high}, flat);
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

  void set_options(const FusedStep& step, Node& node) const {
    if (step.kind == "conv2d") node.convolution = std::any_cast<const Conv2dOptions&>(step.options);
    if (step.kind == "subsample2d") node.stride = std::any_cast<const Size2d&>(step.options);
    if (step.kind == "pad_channels") node.padding = std::any_cast<const PadChannelsOptions&>(step.options);
    if (step.kind == "max_pool2d" || step.kind == "avg_pool2d")
      node.pool = std::any_cast<const Pool2dOptions&>(step.options);
    if (step.kind == "global_avg_pool2d") {
      const Shape& x = graph_.shapes[at(step.inputs[0])];
      node.pool = {.kernel = {x[1], x[2]}, .stride = {x[1], x[2]}};
    }
    if (node.filtered()) set_filters(step, node);
  }

  static void set_filters(const FusedStep& step, Node& node) {
    // In the sums' own unit: an offset is part of what the rescaling undoes.
    node.filters = {
        .format = {.method = step.format->method, .bits = step.format->bits, .terms = step.format->terms},
        .shape = step.weight.shape(),
        .codes = pack(step.weight.span<float>(), *step.format)};
  }

  static void take_range(const Interval& range, Node& node) {
    node.low = range.low;
    node.high = range.high;
  }

  /// As tight as the net will have it: sums are bounded by it.
  void set_range(const FusedStep& step, Node& node) const {
    if (moves_values(node.kind)) return take_range(range_of_inputs(nodes_, node), node);
    node.low = std::min<int64_t>(0, formats_.lowest(step.output));
    node.high = std::max<int64_t>(0, formats_.highest(step.output));
    const bool clamp = node.kind == NodeKind::kClamp;
    if (clamp || step.low == 0.0) node.low = 0;
    if (clamp) node.high = std::min(node.high, range_of_inputs(nodes_, node).high);
    const double top = step.kind == "relu6" ? 6.0 : step.high;
    if (std::isfinite(top)) {
      const double limit = std::floor(std::ldexp(top, node.format.fraction_bits) + 0.5);
      node.high = std::min(node.high, static_cast<int64_t>(limit));
    }
  }

  /// From what is summed (in integers) to the real output.
  std::vector<Line> lines_of(const FusedStep& step, size_t index) const {
    const auto channels = static_cast<size_t>(graph_.shapes[at(step.output)][-1]);
    const std::vector<double>& pivots = calibration_.pivots[index];
    const int p_min = step.format ? step.format->range().p_min : 0;
    double unit = std::ldexp(1.0, p_min - formats_.format(step.inputs[0]).fraction_bits);  // of a sum
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

  void set_rescale(const FusedStep& step, size_t index, Node& node) const {
    const RescaleProblem problem{.largest_sum = bound_of_sums(step, node),
                                 .shortcut = node.shortcut < 0 ? nullptr : &nodes_[at(node.shortcut)],
                                 .digits = options_.digits,
                                 .floors = formats_.floors(step.output)};
    const std::vector<Line> lines = lines_of(step, index);
    if (!is_result(step)) {
      node.rescale = fit_rescale(lines, node.format, problem);
      return;
    }
    node.format.type = DType::kI32;
    node.low = node.low == 0 ? 0 : node.format.lowest();
    node.high = node.format.highest();
    node.rescale = fit_result(lines, problem, node.format);
  }

  double bound_of_sums(const FusedStep& step, const Node& node) const {
    const Node& x = node_of(step.inputs[0]);
    const auto magnitude = static_cast<double>(std::max(-x.low, x.high));
    if (node.filtered()) return magnitude * static_cast<double>(node.filters.largest_sum());
    return node.kind == NodeKind::kAvgPool2d ? magnitude * static_cast<double>(window_of(step)) : magnitude;
  }

  const FusedGraph& graph_;
  const Calibration& calibration_;
  const LowerOptions& options_;
  ValueFormats formats_;
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

IntegerNet lower(const Graph& graph, const Tensor& images, const LowerOptions& given) {
  FusedGraph fused = fuse(graph);
  DS_CHECK(images.dtype() == DType::kU8 && images.rank() == 4 && images.size(0) >= 1 &&
               images.shape().with(0, 1) == fused.shapes[0].with(0, 1),
           "[lower] images are {} {}, expected u8 {} with any N", name_of(images.dtype()),
           images.shape().str(), fused.shapes[0].str());
  check_options(given, fused.shapes[0]);
  check_steps(fused);
  LowerOptions options = given;
  fold_into_normalisation(fused, options);
  std::vector<Tensor> batches;
  for (int64_t first = 0; first < images.size(0); first += kBatch) {
    batches.push_back(normalise(images.slice(first, std::min(first + kBatch, images.size(0))), options));
  }
  return Lowering(fused, calibrate(fused, batches), options).run();
}

}  // namespace ds::infer
