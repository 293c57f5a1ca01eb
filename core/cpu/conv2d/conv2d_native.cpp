#include "core/cpu/conv2d/conv2d_native.h"

#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

// Enough work a chunk to hide its hand-out and to use packed weights again.
constexpr int64_t kPixelsPerChunk = 256;

/// Weights of one group as [panel][tap][channel][lanes of the panel], zero beyond the last output channel.
/// weight(tap index, channel, output) reads them.
template <class Weight>
void pack_weights(const std::vector<Tap>& taps, int64_t channels, const std::vector<Panel>& panels, int lanes,
                  const Weight& weight, float* packed) {
  for (const Panel& panel : panels) {
    const int64_t width = int64_t{panel.vectors} * lanes;
    for (const Tap& tap : taps) {
      for (int64_t c = 0; c < channels; ++c, packed += width) {
        for (int64_t o = 0; o < panel.outputs; ++o) packed[o] = weight(tap.index, c, panel.first + o);
        std::fill(packed + panel.outputs, packed + width, 0.0F);
      }
    }
  }
}

/// Source and target of a correlation: images N,H,W,C of which one group's channels take part.
struct Images {
  const float* source;
  Size2d source_size;
  int64_t source_pitch;  // channels of the whole tensor
  int64_t source_from;   // first channel of the group
  int64_t source_channels;
  float* target;
  Size2d target_size;
  int64_t target_pitch;
  int64_t target_from;
};

/// All output pixels of one image and one panel.
void correlate_panel(const Correlation& correlation, const Window& window, const TapRuns& runs,
                     const Images& images, const Panel& panel, const float* packed, const float* bias,
                     const float* scratch, float* target, const DirectKernels& kernels) {
  const int64_t most = kernels.max_pixels[panel.vectors - 1];
  const int64_t tiles = chunk_count(correlation.count.width, most);
  DirectTile tile{.x = nullptr,
                  .x_pitch = correlation.step.width * window.channels,
                  .tap_offsets = runs.offsets.data(),
                  .taps = static_cast<int64_t>(runs.offsets.size()),
                  .channels = runs.channels,
                  .w = packed,
                  .bias = bias,
                  .y = nullptr,
                  .y_pitch = correlation.spacing.width * images.target_pitch,
                  .outputs = panel.outputs};
  for (int64_t row = 0; row < correlation.count.height; ++row) {
    const float* x = scratch + row * correlation.step.height * window.width * window.channels;
    float* y = target + images.target_from + panel.first +
               ((correlation.first.height + row * correlation.spacing.height) * images.target_size.width +
                correlation.first.width) *
                   images.target_pitch;
    for (int64_t t = 0; t < tiles;
         ++t) {  // as even as they come: 32 pixels are 11 + 11 + 10, not 12 + 12 + 8
      const int64_t begin = t * correlation.count.width / tiles;
      const int64_t end = (t + 1) * correlation.count.width / tiles;
      tile.x = x + begin * tile.x_pitch;
      tile.y = y + begin * tile.y_pitch;
      kernels.tile[panel.vectors - 1][end - begin - 1](tile);
    }
  }
}

void correlate(const Correlation& correlation, const Images& images, int64_t batch,
               const std::vector<Panel>& panels, const float* packed, const float* bias,
               const DirectKernels& kernels) {
  const Window window = window_of(correlation, images.source_channels);
  const TapRuns runs = merge_taps(correlation.taps, window);
  const int64_t source_image = images.source_size.height * images.source_size.width * images.source_pitch;
  const int64_t target_image = images.target_size.height * images.target_size.width * images.target_pitch;
  const int64_t grain =
      std::max<int64_t>(1, kPixelsPerChunk / (correlation.count.height * correlation.count.width));
  const int64_t tap_rows = static_cast<int64_t>(correlation.taps.size()) * images.source_channels;
  parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
    Tensor memory = Tensor::empty({(end - begin) * window.size()});
    float* scratch = memory.data<float>();
    for (int64_t n = begin; n < end; ++n) {
      fill_window(window, images.source + n * source_image, images.source_size, images.source_pitch,
                  images.source_from, scratch + (n - begin) * window.size());
    }
    const float* weights = packed;
    for (const Panel& panel : panels) {
      for (int64_t n = begin; n < end; ++n) {
        correlate_panel(correlation, window, runs, images, panel, weights,
                        bias == nullptr ? nullptr : bias + panel.first, scratch + (n - begin) * window.size(),
                        images.target + n * target_image, kernels);
      }
      weights += tap_rows * panel.vectors * kernels.lanes;
    }
  });
}

}  // namespace

void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Tensor& y) {
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / options.groups;
  const int64_t positions = w.size(1) * w.size(2);
  const Correlation correlation = forward_correlation(w.shape(), y.shape(), options);
  const std::vector<Panel> panels = panels_of(outputs, kernels.lanes);
  const int64_t width = packed_width(panels, kernels.lanes);
  Tensor packed = Tensor::empty({positions * channels * width});
  Tensor padded_bias = bias.defined() ? Tensor::zeros({width}) : Tensor{};
  for (int64_t group = 0; group < options.groups; ++group) {
    const float* weights = w.data<float>() + group * outputs * positions * channels;
    pack_weights(
        correlation.taps, channels, panels, kernels.lanes,
        [&](int64_t tap, int64_t c, int64_t o) { return weights[(o * positions + tap) * channels + c]; },
        packed.data<float>());
    if (bias.defined()) std::copy_n(bias.data<float>() + group * outputs, outputs, padded_bias.data<float>());
    const Images images{.source = x.data<float>(),
                        .source_size = {x.size(1), x.size(2)},
                        .source_pitch = x.size(3),
                        .source_from = group * channels,
                        .source_channels = channels,
                        .target = y.data<float>(),
                        .target_size = {y.size(1), y.size(2)},
                        .target_pitch = y.size(3),
                        .target_from = group * outputs};
    correlate(correlation, images, x.size(0), panels, packed.data<float>(),
              bias.defined() ? padded_bias.data<float>() : nullptr, kernels);
  }
}

void conv2d_backward_data_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                 Tensor& dx) {
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / options.groups;
  const int64_t positions = w.size(1) * w.size(2);
  const std::vector<Correlation> phases = backward_correlations(dx.shape(), w.shape(), options);
  if (pixels_covered(phases) < dx.size(1) * dx.size(2)) dx.fill(0.0);
  const std::vector<Panel> panels = panels_of(channels, kernels.lanes);
  Tensor packed = Tensor::empty({positions * outputs * packed_width(panels, kernels.lanes)});
  for (int64_t group = 0; group < options.groups; ++group) {
    const float* weights = w.data<float>() + group * outputs * positions * channels;
    const Images images{.source = dy.data<float>(),
                        .source_size = {dy.size(1), dy.size(2)},
                        .source_pitch = dy.size(3),
                        .source_from = group * outputs,
                        .source_channels = outputs,
                        .target = dx.data<float>(),
                        .target_size = {dx.size(1), dx.size(2)},
                        .target_pitch = dx.size(3),
                        .target_from = group * channels};
    for (const Correlation& phase : phases) {
      pack_weights(
          phase.taps, outputs, panels, kernels.lanes,
          [&](int64_t tap, int64_t o, int64_t c) { return weights[(o * positions + tap) * channels + c]; },
          packed.data<float>());
      correlate(phase, images, dy.size(0), panels, packed.data<float>(), nullptr, kernels);
    }
  }
}

}  // namespace ds::cpu
