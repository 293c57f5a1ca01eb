// Depthwise convolutions: each channel by its own filter, channels side by side.
#include <algorithm>
#include <memory>

#include "core/parallel.h"
#include "infer/cpu/depthwise_sums.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"

namespace ds::infer {
namespace {

// The sums of so many pixels and channels stay in the first cache.
constexpr int64_t kPixels = 16;
constexpr int64_t kChannels = 128;

class DepthwiseStep {
 public:
  explicit DepthwiseStep(const StepSource& source)
      : output_(source.place()), rescaler_(source), sums_(make_depthwise_sums(source, rescaler_.wide())) {
    if (source.self().shortcut >= 0) {
      has_shortcut_ = true;
      shortcut_ = source.places[static_cast<size_t>(source.self().shortcut)];
    }
  }

  void run(const RunContext& context) const {
    parallel_for(context.images * output_.height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto [image, y] = divide(row, output_.height);
        run_row(context, image, y);
      }
    });
  }

  std::string describe() const { return std::string(sums_->describe()); }
  int64_t weight_bytes() const { return sums_->weight_bytes(); }

 private:
  void run_row(const RunContext& context, int64_t image, int64_t y) const {
    alignas(64) unsigned char sums[kPixels * kChannels * sizeof(int64_t)];  // i32 or i64
    for (int64_t first = 0; first < output_.channels; first += kChannels) {
      for (int64_t begin = 0; begin < output_.width; begin += kPixels) {
        const DepthwisePart part{.image = image,
                                 .y = y,
                                 .begin = begin,
                                 .end = std::min(output_.width, begin + kPixels),
                                 .first = first,
                                 .count = std::min(kChannels, output_.channels - first)};
        sums_->make(context.arena, part, sums, kChannels);
        rescale(context, part, sums);
      }
    }
  }

  void rescale(const RunContext& context, const DepthwisePart& part, const unsigned char* sums) const {
    const auto at = [&](const Place& place) {
      return place.image(context.arena, part.image) + part.y * place.row_bytes() +
             part.begin * place.pixel_bytes + part.first * place.value_bytes();
    };
    RescaleTile tile = rescaler_.tile(part.first, part.count);
    tile.sums = sums;
    tile.sums_pitch = kChannels;
    tile.y = at(output_);
    tile.y_pitch = output_.pixel_bytes;
    if (has_shortcut_) tile.shortcut = at(shortcut_);
    tile.shortcut_pitch = shortcut_.pixel_bytes;
    tile.pixels = part.end - part.begin;
    rescaler_.run(tile);
  }

  Place output_;
  Place shortcut_;
  bool has_shortcut_ = false;
  Rescaler rescaler_;
  std::unique_ptr<const DepthwiseSums> sums_;
};

}  // namespace

bool is_depthwise(const Node& node) {
  return node.kind == NodeKind::kConv2d && node.filters.shape[3] == 1 && node.convolution.groups > 1 &&
         node.filters.shape[0] == node.convolution.groups;
}

Step make_depthwise_step(const StepSource& source) {
  const auto step = std::make_shared<const DepthwiseStep>(source);
  return {.kernel = step->describe(),
          .weight_bytes = step->weight_bytes(),
          .run = [step](const RunContext& context) { step->run(context); }};
}

}  // namespace ds::infer
