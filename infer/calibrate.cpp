#include "infer/calibrate.h"

#include <cmath>

#include "autograd/functions.h"
#include "autograd/replay.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds::infer {
namespace {

/// The mean of the values of each channel where `selected` is above 0, or of all; 0 for a channel with none.
class ChannelMeans {
 public:
  void add(const Tensor& values, const Tensor& selected) {
    const auto channels = static_cast<size_t>(values.size(-1));
    sums_.resize(channels);
    counts_.resize(channels);
    const std::span<const float> v = values.span<float>();
    for (size_t i = 0; i < v.size(); ++i) {
      if (selected.defined() && !(selected.span<float>()[i] > 0.0F)) continue;
      sums_[i % channels] += v[i];
      ++counts_[i % channels];
    }
  }

  std::vector<double> means() const {
    std::vector<double> result(sums_.size(), 0.0);
    for (size_t c = 0; c < result.size(); ++c) {
      if (counts_[c] > 0) result[c] = sums_[c] / static_cast<double>(counts_[c]);
    }
    return result;
  }

 private:
  std::vector<double> sums_;
  std::vector<int64_t> counts_;
};

class Calibrator {
 public:
  explicit Calibrator(const FusedGraph& graph)
      : graph_(graph), last_use_(graph.shapes.size(), 0), means_(graph.steps.size()) {
    calibration_.values.resize(graph.shapes.size());
    for (size_t i = 0; i < graph.steps.size(); ++i) {
      for (const int value : read_by(graph.steps[i])) last_use_[static_cast<size_t>(value)] = i;
    }
  }

  void add(const Tensor& images) {
    std::vector<Tensor> values(graph_.shapes.size());
    values[0] = images;
    count(0, images, "the images");
    for (size_t i = 0; i < graph_.steps.size(); ++i) {
      const FusedStep& step = graph_.steps[i];
      Tensor& output = values[static_cast<size_t>(step.output)];
      output = compute(step, values, means_[i]);
      count(step.output, output, step.scope);
      for (const int value : read_by(step)) {
        if (last_use_[static_cast<size_t>(value)] == i) values[static_cast<size_t>(value)] = {};
      }
    }
  }

  Calibration finish() && {
    for (const ChannelMeans& means : means_) calibration_.pivots.push_back(means.means());
    return std::move(calibration_);
  }

 private:
  static std::vector<int> read_by(const FusedStep& step) {
    std::vector<int> values = step.inputs;
    if (step.shortcut >= 0) values.push_back(step.shortcut);
    return values;
  }

  void count(int value, const Tensor& tensor, const std::string& place) {
    const ops::Extremes extremes = ops::extremes(tensor);
    DS_CHECK(std::isfinite(extremes.minimum) && std::isfinite(extremes.maximum),
             "[calibrate] a value of {} is {}, expected finite numbers", place,
             std::isfinite(extremes.minimum) ? extremes.maximum : extremes.minimum);
    calibration_.values[static_cast<size_t>(value)].add(tensor.span<float>());
  }

  /// scale call(inputs) + shift + shortcut, clamped; what the call gives is what its pivots are means of.
  static Tensor compute(const FusedStep& step, const std::vector<Tensor>& values, ChannelMeans& means) {
    std::vector<Tensor> inputs;
    for (const int input : step.inputs) inputs.push_back(values[static_cast<size_t>(input)]);
    Tensor result = step.scaled() ? unscaled(step, inputs[0])
                                  : replayed_call(step.kind, step.options, step.scope)(inputs);
    Tensor y = step.scaled() ? scale(step, result) : result;
    if (step.shortcut >= 0) {
      y = ops::arithmetic(Arithmetic::kAdd, y, values[static_cast<size_t>(step.shortcut)]);
    }
    if (step.clamped()) y = ops::clamp(y, step.low, step.high);
    const bool averages = step.kind == "avg_pool2d" || step.kind == "global_avg_pool2d";
    if (step.scaled() || averages) means.add(result, step.low == 0.0 ? y : Tensor());
    return y;
  }

  static Tensor unscaled(const FusedStep& step, const Tensor& x) {
    if (step.kind == "batch_norm") return x;
    if (step.kind == "linear") return ops::gemm(x, step.weight, {.transpose_b = true});
    return ops::conv2d(x, step.weight, Tensor(), std::any_cast<const Conv2dOptions&>(step.options));
  }

  static Tensor scale(const FusedStep& step, const Tensor& result) {
    const auto channels = static_cast<size_t>(result.size(-1));
    Tensor y = result.clone();
    const std::span<float> values = y.span<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t c = i % channels;
      const double factor = step.scale.empty() ? 1.0 : step.scale[c];
      values[i] = static_cast<float>(factor * values[i] + (step.shift.empty() ? 0.0 : step.shift[c]));
    }
    return y;
  }

  const FusedGraph& graph_;
  std::vector<size_t> last_use_;  // by value: the step that reads it last
  std::vector<ChannelMeans> means_;
  Calibration calibration_;
};

}  // namespace

Calibration calibrate(const FusedGraph& graph, std::span<const Tensor> batches) {
  DS_CHECK(!batches.empty(), "[calibrate] no images, expected one batch at least");
  Calibrator calibrator(graph);
  for (const Tensor& images : batches) {
    DS_CHECK(images.rank() == graph.shapes[0].rank() && images.size(0) >= 1 &&
                 images.shape().with(0, 1) == graph.shapes[0].with(0, 1),
             "[calibrate] images have shape {}, expected {} with any N", images.shape().str(),
             graph.shapes[0].str());
    calibrator.add(images);
  }
  return std::move(calibrator).finish();
}

}  // namespace ds::infer
