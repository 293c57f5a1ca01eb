// Depthwise convolutions: each channel by its own filter, channels side by side.
#include <algorithm>
#include <memory>

#include "core/parallel.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"
#include "infer/window.h"

namespace ds::infer {
namespace {

// The sums of so many pixels and channels stay in the first cache.
constexpr int64_t kPixels = 16;
constexpr int64_t kChannels = 128;

class DepthwiseStep {
 public:
  explicit DepthwiseStep(const StepSource& source)
      : window_(window_of(source.self())),
        input_(source.input_place()),
        output_(source.place()),
        rescaler_(source),
        rows_(row_taps(window_, output_.height, input_.height)),
        columns_(column_taps(window_, output_.width, input_.width)) {
    const auto type = static_cast<int>(stored_type(input_.type));
    run_ =
        rescaler_.wide() ? source.kernels.rows->depthwise_wide[type] : source.kernels.rows->depthwise[type];
    const std::vector<int32_t> weights = source.self().filters.integers();
    const int64_t taps = window_.kernel.height * window_.kernel.width;
    pitch_ = chunk_count(output_.channels, kRescaleBlock) * kRescaleBlock;
    weights_.resize(static_cast<size_t>(taps * pitch_));
    for (int64_t c = 0; c < output_.channels; ++c) {
      for (int64_t t = 0; t < taps; ++t) {
        weights_[static_cast<size_t>(t * pitch_ + c)] = weights[static_cast<size_t>(c * taps + t)];
      }
    }
    list_stretches();
    if (source.self().shortcut >= 0) {
      has_shortcut_ = true;
      shortcut_ = source.places[static_cast<size_t>(source.self().shortcut)];
    }
  }

  void run(const RunContext& context) const {
    parallel_for(context.images * output_.height, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        run_row(context, row / output_.height, row % output_.height);
      }
    });
  }

  int64_t weight_bytes() const { return static_cast<int64_t>(weights_.size() * sizeof(int32_t)); }

 private:
  /// Neighbouring pixels of a row whose windows lack the same columns, within kPixels that are rescaled at
  /// once.
  struct Stretch {
    int64_t begin;
    int64_t end;
  };

  void list_stretches() {
    for (int64_t begin = 0; begin < output_.width;) {
      int64_t end = begin + 1;
      while (end < output_.width && end % kPixels != 0 &&
             columns_[static_cast<size_t>(end)] == columns_[static_cast<size_t>(begin)])
        ++end;
      stretches_.push_back({.begin = begin, .end = end});
      begin = end;
    }
  }

  /// The taps of windows that lie within the image: bytes from the window's origin, and their weights.
  struct Taps {
    std::vector<int64_t> offsets;
    std::vector<const int32_t*> weights;
  };

  /// Valid until the thread's next call: runs allocate nothing once they have begun.
  const Taps& list_taps(const TapRange& rows, const TapRange& columns) const {
    thread_local Taps taps;
    taps.offsets.clear();
    taps.weights.clear();
    for (int64_t ky = rows.begin; ky < rows.end; ++ky) {
      for (int64_t kx = columns.begin; kx < columns.end; ++kx) {
        taps.offsets.push_back(ky * window_.dilation.height * input_.row_bytes() +
                               kx * window_.dilation.width * input_.pixel_bytes);
        taps.weights.push_back(weights_.data() + (ky * window_.kernel.width + kx) * pitch_);
      }
    }
    return taps;
  }

  void run_row(const RunContext& context, int64_t image, int64_t y) const {
    alignas(64) unsigned char sums[kPixels * kChannels * sizeof(int64_t)];  // i32 or i64
    const int64_t sum_bytes = rescaler_.wide() ? sizeof(int64_t) : sizeof(int32_t);
    for (int64_t channel = 0; channel < output_.channels; channel += kChannels) {
      for (const Stretch& stretch : stretches_) {
        const int64_t start = stretch.begin - stretch.begin % kPixels;
        add_products(context, image, y, stretch, channel,
                     sums + (stretch.begin - start) * kChannels * sum_bytes);
        const int64_t end = stretch.end;
        if (end % kPixels == 0 || end == output_.width) rescale(context, image, y, start, end, channel, sums);
      }
    }
  }

  int64_t channels_from(int64_t first) const { return std::min(kChannels, output_.channels - first); }

  void add_products(const RunContext& context, int64_t image, int64_t y, const Stretch& stretch,
                    int64_t first, unsigned char* sums) const {
    const Taps& taps = list_taps(rows_[static_cast<size_t>(y)], columns_[static_cast<size_t>(stretch.begin)]);
    const int64_t row = y * window_.stride.height - window_.padding.height;
    const int64_t column = stretch.begin * window_.stride.width - window_.padding.width;
    run_({.x = input_.image(context.arena, image) + row * input_.row_bytes() + column * input_.pixel_bytes +
               first * input_.value_bytes(),
          .x_pitch = window_.stride.width * input_.pixel_bytes,
          .offsets = taps.offsets.data(),
          .weights = taps.weights.data(),
          .first = first,
          .taps = static_cast<int64_t>(taps.offsets.size()),
          .pixels = stretch.end - stretch.begin,
          .count = channels_from(first),
          .sums = sums,
          .sums_pitch = kChannels});
  }

  void rescale(const RunContext& context, int64_t image, int64_t y, int64_t begin, int64_t end, int64_t first,
               const unsigned char* sums) const {
    const auto at = [&](const Place& place) {
      return place.image(context.arena, image) + y * place.row_bytes() + begin * place.pixel_bytes +
             first * place.value_bytes();
    };
    rescaler_.run({.sums = sums,
                   .sums_pitch = kChannels,
                   .y = at(output_),
                   .y_pitch = output_.pixel_bytes,
                   .shortcut = has_shortcut_ ? at(shortcut_) : nullptr,
                   .shortcut_pitch = shortcut_.pixel_bytes,
                   .pixels = end - begin,
                   .first = first,
                   .count = channels_from(first)});
  }

  Window window_;
  Place input_;
  Place output_;
  Place shortcut_;
  bool has_shortcut_ = false;
  Rescaler rescaler_;
  std::vector<TapRange> rows_;
  std::vector<TapRange> columns_;
  DepthwiseKernel run_;
  int64_t pitch_ = 0;             // channels, up to a whole block
  std::vector<int32_t> weights_;  // [taps][pitch]
  std::vector<Stretch> stretches_;
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
