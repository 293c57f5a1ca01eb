// Depthwise convolutions: each channel by its own filter, channels side by side.
#include <algorithm>
#include <memory>

#include "core/parallel.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"

namespace ds::infer {
namespace {

constexpr int64_t kChannels = 256;  // at a time: their sums stay in the first cache
constexpr int64_t kRowsOfChunk = 2;

class DepthwiseStep {
 public:
  explicit DepthwiseStep(const StepSource& source)
      : options_(source.self().convolution),
        kernel_{source.self().filters.shape[1], source.self().filters.shape[2]},
        input_(source.input_place()),
        output_(source.place()),
        rescaler_(source) {
    const auto type = static_cast<int>(stored_type(input_.type));
    run_ =
        rescaler_.wide() ? source.kernels.rows->depthwise_wide[type] : source.kernels.rows->depthwise[type];
    const std::vector<int32_t> weights = source.self().filters.integers();
    const int64_t taps = kernel_.height * kernel_.width;
    weights_.resize(weights.size());
    for (int64_t c = 0; c < output_.channels; ++c) {
      for (int64_t t = 0; t < taps; ++t) {
        weights_[static_cast<size_t>(t * output_.channels + c)] = weights[static_cast<size_t>(c * taps + t)];
      }
    }
    if (source.self().shortcut >= 0) {
      has_shortcut_ = true;
      shortcut_ = source.places[static_cast<size_t>(source.self().shortcut)];
    }
  }

  void run(const RunContext& context) const {
    parallel_for(context.images * output_.height, kRowsOfChunk, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t first = 0; first < output_.channels; first += kChannels) {
          run_row(context, row / output_.height, row % output_.height, first);
        }
      }
    });
  }

  int64_t weight_bytes() const { return static_cast<int64_t>(weights_.size() * sizeof(int32_t)); }

 private:
  void run_row(const RunContext& context, int64_t image, int64_t y, int64_t first) const {
    alignas(64) unsigned char sums[kChannels * sizeof(int64_t)];  // i32 or i64
    std::vector<int64_t>& offsets = scratch_offsets();
    std::vector<const int32_t*>& weights = scratch_weights();
    const int64_t count = std::min(kChannels, output_.channels - first);
    const uint8_t* x = input_.image(context.arena, image) + first * input_.value_bytes();
    for (int64_t column = 0; column < output_.width; ++column) {
      list_taps(y, column, first, offsets, weights);
      run_({.x = x,
            .offsets = offsets.data(),
            .weights = weights.data(),
            .taps = static_cast<int64_t>(offsets.size()),
            .count = count,
            .sums = sums});
      const int64_t pixel = y * output_.width + column;
      const auto at = [&](const Place& place) {
        return place.image(context.arena, image) + pixel * place.pixel_bytes + first * place.value_bytes();
      };
      rescaler_.run({.sums = sums,
                     .sums_pitch = count,
                     .y = at(output_),
                     .y_pitch = output_.pixel_bytes,
                     .shortcut = has_shortcut_ ? at(shortcut_) : nullptr,
                     .shortcut_pitch = shortcut_.pixel_bytes,
                     .pixels = 1,
                     .first = first,
                     .count = count});
    }
  }

  /// The taps of a window that lie within the image.
  void list_taps(int64_t y, int64_t column, int64_t first, std::vector<int64_t>& offsets,
                 std::vector<const int32_t*>& weights) const {
    offsets.clear();
    weights.clear();
    for (int64_t ky = 0; ky < kernel_.height; ++ky) {
      const int64_t in_y =
          y * options_.stride.height - options_.padding.height + ky * options_.dilation.height;
      if (in_y < 0 || in_y >= input_.height) continue;
      for (int64_t kx = 0; kx < kernel_.width; ++kx) {
        const int64_t in_x =
            column * options_.stride.width - options_.padding.width + kx * options_.dilation.width;
        if (in_x < 0 || in_x >= input_.width) continue;
        offsets.push_back((in_y * input_.width + in_x) * input_.pixel_bytes);
        weights.push_back(weights_.data() + (ky * kernel_.width + kx) * output_.channels + first);
      }
    }
  }

  // Of each thread, so that runs allocate nothing once they have begun.
  static std::vector<int64_t>& scratch_offsets() {
    thread_local std::vector<int64_t> offsets;
    return offsets;
  }
  static std::vector<const int32_t*>& scratch_weights() {
    thread_local std::vector<const int32_t*> weights;
    return weights;
  }

  Conv2dOptions options_;
  Size2d kernel_;
  Place input_;
  Place output_;
  Place shortcut_;
  bool has_shortcut_ = false;
  Rescaler rescaler_;
  DepthwiseKernel run_;
  std::vector<int32_t> weights_;  // [taps][channels]
};

}  // namespace

bool is_depthwise(const Node& node) {
  return node.kind == NodeKind::kConv2d && node.filters.shape[3] == 1 && node.convolution.groups > 1 &&
         node.filters.shape[0] == node.convolution.groups;
}

Step make_depthwise_step(const StepSource& source) {
  const auto step = std::make_shared<const DepthwiseStep>(source);
  return {.kernel = "channels side by side",
          .weight_bytes = step->weight_bytes(),
          .run = [step](const RunContext& context) { step->run(context); }};
}

}  // namespace ds::infer
