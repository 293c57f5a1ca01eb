#include "layers/compensate.h"

#include <algorithm>
#include <any>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "autograd/functions.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/value_counts.h"
#include "layers/compensation/block_outputs.h"
#include "layers/compensation/layer_rounding.h"
#include "layers/compensation/moments.h"
#include "layers/compensation/stream_pair.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kBatchBytes = int64_t{64} << 20;  // of a value of images that are computed together
constexpr int64_t kWideDepth = 1024;                // of windows whose matrices are worth making room for

constexpr const char* kRunningMean = ".running_mean";
constexpr const char* kRunningVariance = ".running_var";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What a conversion changes, by layer or buffer.
struct Changes {
  std::map<std::string, int> offsets;
  std::map<std::string, Tensor> weights;
  std::map<std::string, Tensor> biases;
  std::map<std::string, Tensor> buffers;
};

std::set<std::string> buffer_names(Module& model) {
  std::set<std::string> names;
  for (const NamedBuffer& buffer : model.named_buffers()) names.insert(buffer.name);
  return names;
}

class Compensator {
 public:
  /// The plan must outlive it.
  Compensator(Module& model, Tensor images, const CompensateOptions& options,
              const std::vector<PlannedLayer>& plan)
      : options_(options),
        plan_(plan),
        buffers_(buffer_names(model)),
        graph_(trace(model, images.slice(0, 1))),
        layers_(first_calls()),
        streams_(graph_, std::move(images), prepare_streams()) {}

  Changes run(CompensateReport& report) && {
    const auto total = std::ranges::count_if(layers_, [](const auto* layer) { return layer != nullptr; });
    for (size_t node = 0; node < graph_.nodes.size(); ++node) {
      if (const PlannedLayer* layer = layers_[node]) {
        if (options_.progress) {
          options_.progress(static_cast<int64_t>(report.layers.size()), total, layer->named.path);
        }
        report.layers.push_back(convert(node, *layer));
      }
      streams_.pass(node);
    }
    return std::move(changes_);
  }

 private:
  /// By node, the layer that it is the first call of, if that is to be converted.
  std::vector<const PlannedLayer*> first_calls() const {
    std::vector<const PlannedLayer*> calls;
    for (const TracedNode& node : graph_.nodes) {
      const auto found = std::ranges::find_if(
          plan_, [&](const PlannedLayer& layer) { return layer.format && layer.named.path == node.scope; });
      const bool weighted = node.kind == "conv2d" || node.kind == "linear";
      const PlannedLayer* layer = weighted && found != plan_.end() ? &*found : nullptr;
      calls.push_back(std::ranges::count(calls, layer) == 0 ? layer : nullptr);
    }
    return calls;
  }

  /// Images are computed together as long as no value of them has more than kBatchBytes. The recording's
  /// image, and what was computed from it, are given up.
  StreamOptions prepare_streams() {
    StreamOptions result{.kept_bytes = options_.kept_bytes};
    int64_t largest = 1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) result.readers.push_back(layers_[i] != nullptr);
    for (TracedValue& value : graph_.values) {
      result.bytes.push_back(static_cast<int64_t>(value.value.bytes()));
      if (value.producer < 0) continue;
      largest = std::max(largest, result.bytes.back());
      value.value = {};
    }
    graph_.values[0].value = {};
    result.batch = std::clamp<int64_t>(kBatchBytes / largest, 1, options_.batch);
    return result;
  }

  /// For the images of a layer whose values are smaller than the network's largest, more together: the sums
  /// of a wide layer are read and written once for all of them.
  template <class Body>
  void for_images(const TracedNode& node, Body&& body) const {
    const int64_t bytes = std::max<int64_t>(streams_.bytes(node.inputs[0]), streams_.bytes(node.output));
    const int64_t images = std::clamp<int64_t>(kBatchBytes / std::max<int64_t>(bytes, 1), 1, options_.batch);
    streams_.for_images(std::max<int64_t>(1, images / streams_.batch()), body);
  }

  CompensatedLayer convert(size_t index, const PlannedLayer& layer) {
    const Clock::time_point start = Clock::now();
    const TracedNode& node = graph_.nodes[index];
    const int bias = bias_leaf(node);
    const int norm = following_norm(index);
    streams_.keep(node.inputs[0]);
    if (node.inputs[0] != 0) round_activations(node);
    const LayerToRound task{.path = node.scope,
                            .format = *layer.format,
                            .weight = streams_.of_float().constant(node.inputs[1]),
                            .mean_is_free = norm >= 0 || bias >= 0,
                            .norm_follows = norm >= 0};
    const std::vector<ChannelBlock> blocks = blocks_of(node, task.weight);
    const RoundedFilters best = round(node, task, blocks);
    const OutputStatistics& statistics = best.statistics;
    changes_.offsets[node.scope] = best.format.offset;
    streams_.converted().set_constant(node.inputs[1], best.weight);
    changes_.weights[node.scope] = best.weight;
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
            .blocks = static_cast<int64_t>(blocks.size()),
            .seconds = seconds_since(start)};
  }

  /// Of the layers that read the same value, the first one does it.
  void round_activations(const TracedNode& reader) {
    const int value = reader.inputs[0];
    if (!options_.activations || streams_.converted().rounds(value)) return;
    ValueCounts counts;
    for_images(reader, [&](int64_t begin, int64_t end) {
      counts.add(streams_.converted().rows(value, begin, end).span<float>());
    });
    DS_CHECK(std::isfinite(counts.lowest()) && std::isfinite(counts.highest()),
             "[compensate] the values that layer {} reads are not finite", reader.scope);
    const auto [bits, fraction_bits] = *options_.activations;
    const bool has_sign = fraction_bits || counts.lowest() < 0.0;
    const int64_t low = has_sign ? -(int64_t{1} << (bits - 1)) : 0;
    const int64_t high = low + (int64_t{1} << bits) - 1;
    const int chosen = fraction_bits.value_or(counts.fraction_bits(low, high, FormatChoice::kLeastSquares));
    streams_.converted().round(
        value, {.fraction_bits = chosen, .low = static_cast<double>(low), .high = static_cast<double>(high)});
  }

  std::vector<ChannelBlock> blocks_of(const TracedNode& node, const Tensor& weight) const {
    const int64_t channels = weight.size(-1);
    const int64_t taps = weight.numel() / weight.size(0) / channels;
    const bool whole = convolution_of(node).groups > 1;
    const int64_t of_block = whole ? channels : std::max<int64_t>(1, options_.block_inputs / taps);
    std::vector<ChannelBlock> blocks;
    for (int64_t first = 0; first < channels; first += of_block) {
      blocks.push_back({.first = first, .count = std::min(of_block, channels - first)});
    }
    return blocks;
  }

  RoundedFilters round(const TracedNode& node, const LayerToRound& task,
                       const std::vector<ChannelBlock>& blocks) const {
    LayerRounding rounding(task, options_.compensation);
    BlockOutputs outputs(streams_.images());
    for (const ChannelBlock& block : blocks) {
      std::vector<GroupMoments> moments = collect(node, task.weight, block, outputs);
      // The matrices to come are not tensors: what those have left in the cache is no use to them.
      if (moments.front().depth >= kWideDepth) release_cached_memory();
      rounding.add(std::move(moments), block);
      if (blocks.size() > 1) add_outputs(node, task, rounding.filters(block), block, outputs);
    }
    RoundedFilters result = std::move(rounding).finish();
    if (blocks.size() > 1) result.statistics = outputs.statistics(result.scales, task.mean_is_free);
    return result;
  }

  static Conv2dOptions convolution_of(const TracedNode& node) {
    return node.kind == "conv2d" ? std::any_cast<const Conv2dOptions&>(node.options) : Conv2dOptions();
  }

  /// Of the channels of a block, and what they are to give.
  std::vector<GroupMoments> collect(const TracedNode& node, const Tensor& weight, const ChannelBlock& block,
                                    const BlockOutputs& before) const {
    const ReplayedCall call = replayed_call(node.kind, node.options, node.scope);
    const Tensor filters = channels_of(weight, block);
    MomentSums sums(filters.shape(), convolution_of(node));
    for_images(node, [&](int64_t begin, int64_t end) {
      const Tensor share = call({input_of(streams_.of_float(), node, block, begin, end), filters, {}});
      sums.add(input_of(streams_.converted(), node, block, begin, end), before.wanted(begin, share));
    });
    std::vector<GroupMoments> moments = std::move(sums).moments();
    for (const GroupMoments& group : moments) {
      DS_CHECK(std::isfinite(sum_of(group.xx)) && std::isfinite(sum_of(group.yy)),
               "[compensate] the values that layer {} reads or gives are not finite", node.scope);
    }
    return moments;
  }

  void add_outputs(const TracedNode& node, const LayerToRound& task, const Tensor& rounded,
                   const ChannelBlock& block, BlockOutputs& outputs) const {
    const ReplayedCall call = replayed_call(node.kind, node.options, node.scope);
    const Tensor filters = channels_of(task.weight, block);
    const Tensor plain = make_weight(task.format, filters)->rounded();
    for_images(node, [&](int64_t begin, int64_t end) {
      const Tensor x = input_of(streams_.converted(), node, block, begin, end);
      outputs.add(begin, call({input_of(streams_.of_float(), node, block, begin, end), filters, {}}),
                  call({x, rounded, {}}), call({x, plain, {}}));
    });
  }

  /// A block of what a layer reads: all of it where the layer has groups.
  static Tensor input_of(const Stream& stream, const TracedNode& node, const ChannelBlock& block,
                         int64_t begin, int64_t end) {
    const Tensor x = stream.rows(node.inputs[0], begin, end);
    return convolution_of(node).groups > 1 ? x : channels_of(x, block);
  }

  /// Whether new statistics of a batch norm find their place: its own may be named otherwise.
  bool has_statistics(const TracedNode& norm) const {
    return buffers_.contains(norm.scope + kRunningMean) && buffers_.contains(norm.scope + kRunningVariance);
  }

  /// The batch norm with statistics in buffers that alone takes a node's output, or -1.
  int following_norm(size_t index) const {
    int norm = -1;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const TracedNode& node = graph_.nodes[i];
      if (std::ranges::count(node.inputs, graph_.nodes[index].output) == 0) continue;
      if (norm >= 0 || node.kind != "batch_norm") return -1;
      norm = static_cast<int>(i);
    }
    const bool alone = norm >= 0 && graph_.nodes[index].output != graph_.output;
    return alone && has_statistics(graph_.nodes[at(norm)]) ? norm : -1;
  }

  /// The layer's bias, before it is rounded if it is; -1 without one.
  int bias_leaf(const TracedNode& node) const {
    const int bias = node.inputs[2];
    const int producer = bias < 0 ? -1 : graph_.values[at(bias)].producer;
    return producer < 0 ? bias : graph_.nodes[at(producer)].inputs[0];
  }

  void match_bias(const std::string& path, int leaf, const OutputStatistics& statistics) {
    std::vector<double> bias = doubles(streams_.converted().constant(leaf));
    for (size_t o = 0; o < bias.size(); ++o) bias[o] += statistics.float_mean[o] - statistics.mean[o];
    const Tensor result = floats(bias, {static_cast<int64_t>(bias.size())});
    streams_.converted().set_constant(leaf, result);
    changes_.biases[path] = result;
  }

  /// The norm gives for the outputs, brought to the float layer's mean and deviation, what it gave before:
  /// sqrt(v' + eps) = sqrt(v + eps) s / s_float, m' = mean - (mean_float - m) s / s_float. A v' below 0 is
  /// not to be had: outputs that vary less than eps then come out smaller.
  void match_norm(const TracedNode& norm, const TracedNode& layer, const OutputStatistics& statistics) {
    std::vector<double> mean = doubles(streams_.converted().constant(norm.inputs[3]));
    std::vector<double> variance = doubles(streams_.converted().constant(norm.inputs[4]));
    const double eps = std::any_cast<const BatchNormOptions&>(norm.options).eps;
    const int bias_value = layer.inputs[2];  // rounded, if it is
    const std::vector<double> bias = bias_value < 0 ? std::vector<double>(mean.size())
                                                    : doubles(streams_.converted().rows(bias_value, 0, 1));
    for (size_t o = 0; o < mean.size(); ++o) {
      // A filter whose outputs did not vary: what they do now is to vanish.
      constexpr double kLeast = 1e-12;
      const double of_float = std::max(statistics.float_variance[o], kLeast * statistics.variance[o]);
      const double ratio = statistics.variance[o] > 0.0 ? std::sqrt(statistics.variance[o] / of_float) : 1.0;
      mean[o] = statistics.mean[o] + bias[o] - (statistics.float_mean[o] + bias[o] - mean[o]) * ratio;
      variance[o] = std::max((variance[o] + eps) * ratio * ratio - eps, 0.0);
    }
    const Shape shape{static_cast<int64_t>(mean.size())};
    changes_.buffers[norm.scope + kRunningMean] = floats(mean, shape);
    changes_.buffers[norm.scope + kRunningVariance] = floats(variance, shape);
    streams_.converted().set_constant(norm.inputs[3], changes_.buffers[norm.scope + kRunningMean]);
    streams_.converted().set_constant(norm.inputs[4], changes_.buffers[norm.scope + kRunningVariance]);
  }

  const CompensateOptions& options_;
  const std::vector<PlannedLayer>& plan_;
  std::set<std::string> buffers_;
  Graph graph_;
  std::vector<const PlannedLayer*> layers_;  // by node
  StreamPair streams_;
  Changes changes_;
};

/// From here on nothing can fail. Each change is given up for the layer's own, so that no weight is there
/// twice.
void apply(Changes changes, const std::vector<PlannedLayer>& plan, Module& model) {
  for (const PlannedLayer& layer : plan) {
    if (auto change = changes.weights.extract(layer.named.path)) {
      const WeightOptions weight_options{.layout = layer.named.layer->weight().options().layout};
      layer.named.layer->replace_weight(make_weight(std::nullopt, change.mapped(), weight_options));
    }
    if (const auto change = changes.biases.extract(layer.named.path)) {
      Variable bias = layer.named.layer->bias();
      bias.mutable_value().copy_from(change.mapped());
    }
  }
  for (const NamedBuffer& buffer : model.named_buffers()) {
    if (const auto change = changes.buffers.extract(buffer.name)) buffer.value->copy_from(change.mapped());
  }
}

}  // namespace

CompensateReport compensate(Module& model, Tensor images, const CompensateOptions& options,
                            const ConvertPredicate& predicate) {
  DS_CHECK(images.defined() && images.device() == Device{} && images.rank() == 4 &&
               images.dtype() == DType::kF32 && images.size(0) >= 1,
           "[compensate] images are {}, expected f32 [N,H,W,C] on cpu with N >= 1",
           images.defined() ? TensorType::of(images).str() : "missing");
  DS_CHECK(options.compensation.damping > 0.0, "[compensate] damping is {}, expected more than 0",
           options.compensation.damping);
  DS_CHECK(options.conversion.ps_init == PsInit::kConverted,
           "[compensate] PS weights are to be random, expected converted ones");
  DS_CHECK(options.batch >= 1, "[compensate] batch is {}, expected at least 1", options.batch);
  DS_CHECK(options.block_inputs >= 1, "[compensate] block_inputs is {}, expected at least 1",
           options.block_inputs);
  if (options.activations) ActivationQuant({.format = *options.activations});  // refuses what there is not
  DS_CHECK(!options.activations || !activation_quant_options(model),
           "[compensate] activations are to be rounded to {}, but the network itself rounds them to {}",
           options.activations->str(), activation_quant_options(model)->format.str());
  const Clock::time_point start = Clock::now();
  const std::vector<PlannedLayer> plan = plan_conversion(model, options.conversion, predicate);
  CompensateReport report;
  Changes changes = Compensator(model, std::move(images), options, plan).run(report);
  ConvertOptions conversion = options.conversion;
  for (const auto& [path, offset] : changes.offsets) conversion.layer_offsets[path] = offset;
  apply(std::move(changes), plan, model);
  report.conversion = convert_to_shift(model, conversion, [&](const std::string& path, int64_t) {
    const auto found =
        std::ranges::find(plan, path, [](const PlannedLayer& each) { return each.named.path; });
    return found != plan.end() && found->format.has_value();
  });
  report.seconds = seconds_since(start);
  return report;
}

std::string CompensateReport::str() const {
  size_t width = 5;
  for (const ConvertedLayer& layer : conversion.layers) width = std::max(width, layer.path.size());
  std::string text = fmt::format("{:<{}}  {:<20}  {:>9}  {:>12}  {:>11}  {:>7}\n", "layer", width, "weight",
                                 "weights", "only rounded", "compensated", "seconds");
  for (const ConvertedLayer& layer : conversion.layers) {
    text += fmt::format("{:<{}}  {:<20}  {:>9}", layer.path, width, layer.weight, layer.count);
    const auto found = std::ranges::find(layers, layer.path, &CompensatedLayer::path);
    if (found != layers.end()) {
      text += fmt::format("  {:>10.2f} %  {:>9.2f} %  {:>7.2f}", 100.0 * found->plain_error,
                          100.0 * found->error, found->seconds);
      if (found->blocks > 1) text += fmt::format("  in {} blocks of inputs", found->blocks);
    }
    text += '\n';
  }
  text += fmt::format("errors of the layers' outputs on the sample images; {:.1f} s in all\n\n", seconds);
  return text + conversion.shares();
}

}  // namespace ds
