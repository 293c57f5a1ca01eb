#include "infer/fuse.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"

namespace ds::infer {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Fuser {
 public:
  explicit Fuser(const Graph& graph)
      : graph_(graph), depends_(graph.values.size(), false), uses_(graph.values.size(), 0) {
    depends_[0] = true;
    for (const TracedNode& node : graph.nodes) {
      depends_[static_cast<size_t>(node.output)] =
          std::ranges::any_of(node.inputs, [&](int input) { return depends(input); });
    }
    ++uses_[static_cast<size_t>(graph.output)];
    for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
      if (!takes_part(*node)) continue;
      for (const int input : node->inputs) {
        if (input >= 0) ++uses_[static_cast<size_t>(input)];
      }
    }
  }

  FusedGraph run() && {
    for (const TracedNode& node : graph_.nodes) {
      if (takes_part(node)) add(node);
    }
    DS_CHECK(depends(graph_.output), "[fuse] the output does not depend on the input");
    fused_.output = graph_.output;
    for (const TracedValue& value : graph_.values) fused_.shapes.push_back(value.value.shape());
    return std::move(fused_);
  }

 private:
  bool depends(int value) const { return value >= 0 && depends_[static_cast<size_t>(value)]; }
  /// Whether the output is made from it and the input: the rest was traced for nothing.
  bool takes_part(const TracedNode& node) const {
    return depends(node.output) && uses_[static_cast<size_t>(node.output)] > 0;
  }
  const Tensor& constant(int value) const { return graph_.values[static_cast<size_t>(value)].value; }
  const Shape& shape(int value) const { return constant(value).shape(); }

  void add(const TracedNode& node) {
    if (node.kind == "batch_norm") return add_batch_norm(node);
    const bool fused = (node.kind == "add" && fuse_addition(node)) ||
                       (node.kind == "relu" && fuse_clamp(node, kInfinity)) ||
                       (node.kind == "relu6" && fuse_clamp(node, 6.0));
    if (!fused) fused_.steps.push_back(step_of(node));
  }

  FusedStep step_of(const TracedNode& node) const {
    FusedStep step{.kind = node.kind, .scope = node.scope, .options = node.options};
    step.output = node.output;
    const bool weighted = node.kind == "conv2d" || node.kind == "linear";
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int input = node.inputs[i];
      if (depends(input)) {
        step.inputs.push_back(input);
      } else if (weighted && i == 1) {
        step.weight = constant(input);
        step.format = format_of(input);
      } else if (weighted && input >= 0) {
        step.shift = constant(input).to(DType::kF64).to_vector<double>();
      } else {
        DS_CHECK(input < 0, "[fuse] {} in {} takes a constant with the network's input, expected none",
                 node.kind, node.scope);
      }
    }
    DS_CHECK(!weighted || (step.inputs.size() == 1 && step.weight.defined()),
             "[fuse] the weight of {} in {} depends on the network's input, expected a constant", node.kind,
             node.scope);
    return step;
  }

  /// The format of a weight that the network rounds to powers of two.
  std::optional<ShiftFormat> format_of(int weight) const {
    const int producer = graph_.values[static_cast<size_t>(weight)].producer;
    if (producer < 0) return std::nullopt;
    const TracedNode& node = graph_.nodes[static_cast<size_t>(producer)];
    if (node.kind == "two_term") return std::any_cast<const ShiftFormat&>(node.options);
    if (node.kind != "shift_q" && node.kind != "shift_ps") return std::nullopt;
    const ShiftRange range = std::any_cast<const ShiftRoundingOptions&>(node.options).range;
    ShiftFormat format{.method = node.kind == "shift_q" ? ShiftMethod::kQ : ShiftMethod::kPs,
                       .bits = kMinWeightBits,
                       .offset = range.p_max};
    while (format.range() != range) ++format.bits;  // ends: the range is that of a weight's bits
    return format;
  }

  /// The step that made a value for one user alone, where no clamp follows it yet.
  FusedStep* open_step(int value) {
    if (value < 0 || uses_[static_cast<size_t>(value)] != 1) return nullptr;
    const auto found = std::ranges::find(fused_.steps, value, &FusedStep::output);
    return found == fused_.steps.end() || found->clamped() ? nullptr : &*found;
  }
  /// The same, if it has a scale.
  FusedStep* open_scaled_step(int value) {
    FusedStep* step = open_step(value);
    return step != nullptr && step->scaled() ? step : nullptr;
  }

  /// Scales the outputs of the call that made its input, or is a step of its own.
  void add_batch_norm(const TracedNode& node) {
    const auto values = [&](size_t input) {
      return constant(node.inputs[input]).to(DType::kF64).to_vector<double>();
    };
    std::vector<double> scale = values(1);
    std::vector<double> shift = values(2);
    const std::vector<double> mean = values(3);
    const std::vector<double> variance = values(4);
    const double eps = std::any_cast<const BatchNormOptions&>(node.options).eps;
    for (size_t c = 0; c < scale.size(); ++c) {
      scale[c] /= std::sqrt(variance[c] + eps);
      shift[c] -= scale[c] * mean[c];
    }
    FusedStep* step = open_scaled_step(node.inputs[0]);
    if (step == nullptr || step->shortcut >= 0) {
      step = &fused_.steps.emplace_back(FusedStep{
          .kind = node.kind, .scope = node.scope, .options = node.options, .inputs = {node.inputs[0]}});
    }
    scale_outputs(scale, shift, *step);
    step->output = node.output;
  }

  /// y becomes scale y + shift, by output channel.
  static void scale_outputs(const std::vector<double>& scale, const std::vector<double>& shift,
                            FusedStep& step) {
    step.scale.resize(scale.size(), 1.0);
    step.shift.resize(scale.size(), 0.0);
    for (size_t c = 0; c < scale.size(); ++c) {
      step.scale[c] *= scale[c];
      step.shift[c] = scale[c] * step.shift[c] + shift[c];
    }
  }

  /// Joins the later of the two calls that made the operands: the other operand is there by then.
  bool fuse_addition(const TracedNode& node) {
    const int a = node.inputs[0];
    const int b = node.inputs[1];
    if (!depends(a) || !depends(b) || a == b || shape(a) != shape(b)) return false;
    FusedStep* first = open_scaled_step(a);
    FusedStep* second = open_scaled_step(b);
    if (first == nullptr || (second != nullptr && second > first)) std::swap(first, second);
    if (first == nullptr || first->shortcut >= 0) return false;
    first->shortcut = first->output == a ? b : a;
    first->output = node.output;
    std::rotate(fused_.steps.begin() + (first - fused_.steps.data()),
                fused_.steps.begin() + (first - fused_.steps.data()) + 1, fused_.steps.end());
    return true;
  }

  bool fuse_clamp(const TracedNode& node, double high) {
    FusedStep* step = open_step(node.inputs[0]);
    if (step == nullptr || (!step->scaled() && step->kind != "add")) return false;
    step->low = 0.0;
    step->high = high;
    step->output = node.output;
    return true;
  }

  const Graph& graph_;
  std::vector<bool> depends_;  // on the network's input
  std::vector<int> uses_;      // by what the output is made from, and as the output
  FusedGraph fused_;
};

}  // namespace

bool FusedStep::clamped() const { return low != -kInfinity || high != kInfinity; }

bool FusedStep::scaled() const { return weight.defined() || kind == "batch_norm"; }

FusedGraph fuse(const Graph& graph) { return Fuser(graph).run(); }

}  // namespace ds::infer
