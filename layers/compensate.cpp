#include "layers/compensate.h"

#include <algorithm>
#include <any>
#include <chrono>
#include <cmath>
#include <map>

#include "autograd/functions.h"
#include "core/error.h"
#include "layers/compensation/moments.h"
#include "layers/compensation/streams.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Compensator {
 public:
  Compensator(Module& model, const Tensor& images, const CompensateOptions& options,
              const ConvertPredicate& predicate)
      : model_(model),
        options_(options),
        plan_(plan_conversion(model, options.conversion, predicate)),
        images_(images.size(0)),
        graph_(trace(model, images.slice(0, 1))),
        float_(graph_, images, options.batch),
        converted_(graph_, images, options.batch),
        done_(graph_.nodes.size(), false) {}

  CompensateReport run() {
    const Clock::time_point start = Clock::now();
    CompensateReport report;
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
      if (const PlannedLayer* layer = planned(graph_.nodes[node]))
        report.layers.push_back(convert(node, *layer));
      done_[node] = true;
      forget_unneeded();
    }
    apply();
    ConvertOptions conversion = options_.conversion;
    for (const auto& [path, offset] : offsets_) conversion.layer_offsets[path] = offset;
    report.conversion = convert_to_shift(model_, conversion, chosen());
    report.seconds = seconds_since(start);
    return report;
  }

 private:
  /// The layer that a node is the first call of, if it is to be converted.
  const PlannedLayer* planned(const TracedNode& node) const {
    if ((node.kind != "conv2d" && node.kind != "linear") || new_weights_.contains(node.scope)) return nullptr;
    const auto found = std::ranges::find_if(
        plan_, [&](const PlannedLayer& layer) { return layer.named.path == node.scope; });
    return found != plan_.end() && found->format ? &*found : nullptr;
  }

  CompensatedLayer convert(size_t index, const PlannedLayer& layer) {
    const Clock::time_point start = Clock::now();
    const TracedNode& node = graph_.nodes[index];
    const int bias = bias_leaf(node);
    float_.keep(node.inputs[0]);
    converted_.keep(node.inputs[0]);
    const Tensor& weight = float_.constant(node.inputs[1]);
    const int norm = following_norm(index);
    const RoundedFilters best = round_layer(collect(node, weight),
                                            {.path = node.scope,
                                             .format = *layer.format,
                                             .filters = doubles(weight),
                                             .mean_is_free = norm >= 0 || bias >= 0,
                                             .norm_follows = norm >= 0},
                                            options_.compensation);
    const OutputStatistics& statistics = best.statistics;
    offsets_[node.scope] = best.format.offset;
    const Tensor result = floats(best.filters, weight.shape());
    converted_.set_constant(node.inputs[1], result);
    new_weights_[node.scope] = result;
    if (norm >= 0) {
      match_norm(graph_.nodes[at(norm)], node, statistics);
    } else if (bias >= 0) {
      match_bias(node.scope, bias, statistics);
    }
    const double variance = sum_of(statistics.float_variance);
    const double signal = variance > 0.0 ? variance : 1.0;
    return {.path = node.scope,
            .plain_error = std::sqrt(sum_of(statistics.plain_error) / signal),
            .error = std::sqrt(sum_of(statistics.error) / signal),
            .seconds = seconds_since(start)};
  }

  std::vector<GroupMoments> collect(const TracedNode& node, const Tensor& weight) const {
    const Conv2dOptions convolution =
        node.kind == "conv2d" ? std::any_cast<const Conv2dOptions&>(node.options) : Conv2dOptions();
    const ReplayedCall call = replayed_call(node.kind, node.options, node.scope);
    MomentSums sums(weight.shape(), convolution);
    for (int64_t begin = 0; begin < images_; begin += options_.batch) {
      const int64_t end = std::min(begin + options_.batch, images_);
      sums.add(converted_.rows(node.inputs[0], begin, end),
               call({float_.rows(node.inputs[0], begin, end), weight, {}}));
    }
    std::vector<GroupMoments> moments = sums.moments();
    for (const GroupMoments& group : moments) {
      DS_CHECK(std::isfinite(sum_of(group.xx)) && std::isfinite(sum_of(group.yy)),
               "[compensate] the values that layer {} reads or gives are not finite", node.scope);
    }
    return moments;
  }

  /// The batch norm that alone takes a node's output, or -1.
  int following_norm(size_t index) const {
    int norm = -1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const TracedNode& node = graph_.nodes[i];
      if (std::ranges::count(node.inputs, graph_.nodes[index].output) == 0) continue;
      if (norm >= 0 || node.kind != "batch_norm") return -1;
      norm = static_cast<int>(i);
    }
    return graph_.nodes[index].output == graph_.output ? -1 : norm;
  }

  /// The layer's bias, before it is rounded if it is; -1 without one.
  int bias_leaf(const TracedNode& node) const {
    const int bias = node.inputs[2];
    const int producer = bias < 0 ? -1 : graph_.values[at(bias)].producer;
    return producer < 0 ? bias : graph_.nodes[at(producer)].inputs[0];
  }

  void match_bias(const std::string& path, int leaf, const OutputStatistics& statistics) {
    std::vector<double> bias = doubles(converted_.constant(leaf));
    for (size_t o = 0; o < bias.size(); ++o) bias[o] += statistics.float_mean[o] - statistics.mean[o];
    const Tensor result = floats(bias, {static_cast<int64_t>(bias.size())});
    converted_.set_constant(leaf, result);
    new_biases_[path] = result;
  }

  /// The norm gives for the outputs, brought to the float layer's mean and deviation, what it gave before:
  /// sqrt(v' + eps) = sqrt(v + eps) s / s_float, m' = mean - (mean_float - m) s / s_float. A v' below 0 is
  /// not to be had: outputs that vary less than eps then come out smaller.
  void match_norm(const TracedNode& norm, const TracedNode& layer, const OutputStatistics& statistics) {
    std::vector<double> mean = doubles(converted_.constant(norm.inputs[3]));
    std::vector<double> variance = doubles(converted_.constant(norm.inputs[4]));
    const double eps = std::any_cast<const BatchNormOptions&>(norm.options).eps;
    const int bias_value = layer.inputs[2];  // rounded, if it is
    const std::vector<double> bias =
        bias_value < 0 ? std::vector<double>(mean.size()) : doubles(converted_.rows(bias_value, 0, 1));
    for (size_t o = 0; o < mean.size(); ++o) {
      // A filter whose outputs did not vary: what they do now is to vanish.
      constexpr double kLeast = 1e-12;
      const double of_float = std::max(statistics.float_variance[o], kLeast * statistics.variance[o]);
      const double ratio = statistics.variance[o] > 0.0 ? std::sqrt(statistics.variance[o] / of_float) : 1.0;
      mean[o] = statistics.mean[o] + bias[o] - (statistics.float_mean[o] + bias[o] - mean[o]) * ratio;
      variance[o] = std::max((variance[o] + eps) * ratio * ratio - eps, 0.0);
    }
    const Shape shape{static_cast<int64_t>(mean.size())};
    new_buffers_[norm.scope + ".running_mean"] = floats(mean, shape);
    new_buffers_[norm.scope + ".running_var"] = floats(variance, shape);
    converted_.set_constant(norm.inputs[3], new_buffers_[norm.scope + ".running_mean"]);
    converted_.set_constant(norm.inputs[4], new_buffers_[norm.scope + ".running_var"]);
  }

  /// Whether a layer that is still to be converted reads a value, or something that is computed from it.
  bool needed(int value, std::map<int, bool>& known) const {
    if (const auto found = known.find(value); found != known.end()) return found->second;
    bool result = false;
    for (size_t i = 0; i < graph_.nodes.size() && !result; ++i) {
      const TracedNode& node = graph_.nodes[i];
      if (std::ranges::count(node.inputs, value) == 0) continue;
      const bool to_come = !done_[i] && planned(node) != nullptr && node.inputs[0] == value;
      result = to_come || (!converted_.keeps(node.output) && needed(node.output, known));
    }
    return known[value] = result;
  }

  void forget_unneeded() {
    std::map<int, bool> known;
    for (int value = 0; value < static_cast<int>(graph_.values.size()); ++value) {
      if (!converted_.keeps(value) || needed(value, known)) continue;
      float_.forget(value);
      converted_.forget(value);
    }
  }

  /// From here on nothing can fail.
  void apply() {
    for (const PlannedLayer& layer : plan_) {
      if (const auto found = new_weights_.find(layer.named.path); found != new_weights_.end()) {
        const WeightOptions weight_options{.layout = layer.named.layer->weight().options().layout};
        layer.named.layer->replace_weight(make_weight(std::nullopt, found->second, weight_options));
      }
      if (const auto found = new_biases_.find(layer.named.path); found != new_biases_.end()) {
        Variable bias = layer.named.layer->bias();
        bias.mutable_value().copy_from(found->second);
      }
    }
    for (const NamedBuffer& buffer : model_.named_buffers()) {
      if (const auto found = new_buffers_.find(buffer.name); found != new_buffers_.end()) {
        buffer.value->copy_from(found->second);
      }
    }
  }

  ConvertPredicate chosen() const {
    return [this](const std::string& path, int64_t) {
      return std::ranges::any_of(plan_, [&](const PlannedLayer& layer) {
        return layer.named.path == path && layer.format.has_value();
      });
    };
  }

  Module& model_;
  const CompensateOptions& options_;
  std::vector<PlannedLayer> plan_;
  int64_t images_;
  Graph graph_;
  Stream float_;
  Stream converted_;
  std::vector<bool> done_;  // by node
  std::map<std::string, int> offsets_;
  std::map<std::string, Tensor> new_weights_;
  std::map<std::string, Tensor> new_biases_;
  std::map<std::string, Tensor> new_buffers_;
};

}  // namespace

CompensateReport compensate(Module& model, const Tensor& images, const CompensateOptions& options,
                            const ConvertPredicate& predicate) {
  DS_CHECK(images.defined() && images.rank() == 4 && images.dtype() == DType::kF32 && images.size(0) >= 1,
           "[compensate] images are {}, expected f32 [N,H,W,C] with N >= 1",
           images.defined() ? TensorType::of(images).str() : "missing");
  DS_CHECK(options.compensation.damping > 0.0, "[compensate] damping is {}, expected more than 0",
           options.compensation.damping);
  DS_CHECK(options.conversion.ps_init == PsInit::kConverted,
           "[compensate] PS weights are to be random, expected converted ones");
  DS_CHECK(options.batch >= 1, "[compensate] batch is {}, expected at least 1", options.batch);
  return Compensator(model, images, options, predicate).run();
}

std::string CompensateReport::str() const {
  size_t width = 5;
  for (const ConvertedLayer& layer : conversion.layers) width = std::max(width, layer.path.size());
  std::string text =
      fmt::format("{:<{}}  {:<20}  {:>9}  {:>12}  {:>11}  {:>7}  {:<8}  {:>7}\n", "layer", width, "weight",
                  "weights", "only rounded", "compensated", "zeros", "p", "seconds");
  for (const ConvertedLayer& layer : conversion.layers) {
    text += fmt::format("{:<{}}  {:<20}  {:>9}", layer.path, width, layer.weight, layer.count);
    const auto found = std::ranges::find(layers, layer.path, &CompensatedLayer::path);
    if (found != layers.end()) {
      const auto& exponents = layer.rounded.exponents;
      text += fmt::format(
          "  {:>10.2f} %  {:>9.2f} %  {:>5.2f} %  {:<8}  {:>7.2f}", 100.0 * found->plain_error,
          100.0 * found->error,
          100.0 * static_cast<double>(layer.rounded.zeros) / static_cast<double>(layer.rounded.count),
          exponents.empty() ? "none"
                            : fmt::format("{}..{}", exponents.begin()->first, exponents.rbegin()->first),
          found->seconds);
    }
    text += '\n';
  }
  return text + fmt::format("errors of the layers' outputs on the sample images; {:.1f} s in all\n", seconds);
}

}  // namespace ds
