#include "core/cpu/conv2d_native.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kPixelsPerChunk =
    256;  // enough work a chunk to hide its hand-out and to reuse packed weights
constexpr int64_t kMaxWeightPartials = 16;   // partial sums of a weight gradient, added in order
constexpr int64_t kPartialBytes = 32 << 20;  // and the memory they may take
constexpr int64_t kWeightBlockPixels =
    128;  // pixels that a weight tile sweeps before the next tile: x and dy stay in L1

/// One filter position: where it reads, relative to output pixel * step, and which weight row it is.
struct Tap {
  int64_t row = 0;
  int64_t column = 0;
  int64_t index = 0;  // kh * kernel width + kw
};

/// One pass over all images: `count` output pixels an axis, written at first + m * spacing.
struct Correlation {
  Size2d step = 1;
  Size2d count = 0;
  Size2d first = 0;
  Size2d spacing = 1;
  std::vector<Tap> taps;  // by row, then column
};

/// The part of a source image that a correlation reads, zero outside the image.
struct Window {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;

  int64_t size() const { return height * width * channels; }
  int64_t offset(int64_t row, int64_t column) const {
    return ((row - top) * width + column - left) * channels;
  }
};

Window window_of(const Correlation& correlation, int64_t channels) {
  int64_t top = correlation.taps.front().row;
  int64_t left = correlation.taps.front().column;
  int64_t bottom = top;
  int64_t right = left;
  for (const Tap& tap : correlation.taps) {
    top = std::min(top, tap.row);
    bottom = std::max(bottom, tap.row);
    left = std::min(left, tap.column);
    right = std::max(right, tap.column);
  }
  return {.top = top,
          .left = left,
          .height = (correlation.count.height - 1) * correlation.step.height + bottom - top + 1,
          .width = (correlation.count.width - 1) * correlation.step.width + right - left + 1,
          .channels = channels};
}

/// Copies channels [from, from + window.channels) of one image [height, width, pitch] into the window's
/// scratch.
void fill_window(const Window& window, const float* image, Size2d size, int64_t pitch, int64_t from,
                 float* scratch) {
  const int64_t begin = std::clamp<int64_t>(-window.left, 0, window.width);
  const int64_t end = std::clamp<int64_t>(size.width - window.left, begin, window.width);
  const int64_t row_floats = window.width * window.channels;
  for (int64_t row = 0; row < window.height; ++row, scratch += row_floats) {
    const int64_t source_row = row + window.top;
    if (source_row < 0 || source_row >= size.height || begin == end) {
      std::fill_n(scratch, row_floats, 0.0F);
      continue;
    }
    const float* source = image + (source_row * size.width + begin + window.left) * pitch + from;
    std::fill_n(scratch, begin * window.channels, 0.0F);
    float* target = scratch + begin * window.channels;
    if (pitch == window.channels) {
      std::memcpy(target, source, static_cast<size_t>((end - begin) * pitch) * sizeof(float));
    } else {
      for (int64_t column = begin; column < end; ++column, source += pitch, target += window.channels) {
        std::copy_n(source, window.channels, target);
      }
    }
    std::fill_n(scratch + end * window.channels, (window.width - end) * window.channels, 0.0F);
  }
}

/// Taps whose pixels are neighbours in the scratch, as one run of channels: offsets from the window's first
/// pixel.
struct TapRuns {
  std::vector<int64_t> offsets;
  int64_t channels = 0;  // of each run
};

TapRuns merge_taps(const std::vector<Tap>& taps, const Window& window) {
  size_t length = 1;  // taps in the first run; all runs must be as long
  while (length < taps.size() && taps[length].row == taps[0].row &&
         taps[length].column == taps[length - 1].column + 1) {
    ++length;
  }
  const auto is_run = [&](size_t start) {
    for (size_t i = 1; i < length; ++i) {
      if (taps[start + i].row != taps[start].row ||
          taps[start + i].column != taps[start].column + static_cast<int64_t>(i)) {
        return false;
      }
    }
    return true;
  };
  bool regular = taps.size() % length == 0;
  for (size_t start = 0; regular && start < taps.size(); start += length) regular = is_run(start);
  if (!regular) length = 1;
  TapRuns runs{.offsets = {}, .channels = window.channels * static_cast<int64_t>(length)};
  for (size_t start = 0; start < taps.size(); start += length) {
    runs.offsets.push_back(window.offset(taps[start].row, taps[start].column));
  }
  return runs;
}

/// Output channels cut into panels of one or two vectors.
struct Panel {
  int64_t first = 0;
  int64_t outputs = 0;
  int vectors = 1;
};

std::vector<Panel> panels_of(int64_t outputs, int lanes) {
  std::vector<Panel> panels;
  for (int64_t first = 0; first < outputs;) {
    const int vectors = outputs - first > lanes ? 2 : 1;
    const int64_t count = std::min<int64_t>(outputs - first, int64_t{vectors} * lanes);
    panels.push_back({.first = first, .outputs = count, .vectors = vectors});
    first += count;
  }
  return panels;
}

Tensor scratch_of(int64_t floats) { return Tensor::empty({std::max<int64_t>(floats, 1)}); }

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
    Tensor memory = scratch_of((end - begin) * window.size());
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

Correlation forward_correlation(const Shape& w, const Shape& y, const Conv2dOptions& options) {
  Correlation correlation{
      .step = options.stride, .count = {y[1], y[2]}, .first = 0, .spacing = 1, .taps = {}};
  for (int64_t kh = 0; kh < w[1]; ++kh) {
    for (int64_t kw = 0; kw < w[2]; ++kw) {
      correlation.taps.push_back({.row = kh * options.dilation.height - options.padding.height,
                                  .column = kw * options.dilation.width - options.padding.width,
                                  .index = kh * w[2] + kw});
    }
  }
  return correlation;
}

/// One axis of a backward phase: input pixels first, first + stride, ...; output pixel of dy = m + tap.
struct PhaseAxis {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<std::pair<int64_t, int64_t>> taps;  // (offset into dy, kernel position), ascending offsets
};

PhaseAxis phase_axis(int64_t phase, int64_t input, int64_t kernel, int64_t stride, int64_t padding,
                     int64_t dilation) {
  PhaseAxis axis;
  axis.first = ((phase - padding) % stride + stride) % stride;
  axis.count = axis.first < input ? (input - axis.first - 1) / stride + 1 : 0;
  const int64_t base = (axis.first + padding - phase) / stride;  // i + padding = stride * (m + base) + phase
  for (int64_t k = kernel - 1; k >= 0; --k) {
    if ((k * dilation - phase) % stride == 0)
      axis.taps.emplace_back(base - (k * dilation - phase) / stride, k);
  }
  return axis;
}

std::vector<Correlation> backward_correlations(const Shape& dx, const Shape& w,
                                               const Conv2dOptions& options) {
  std::vector<Correlation> phases;
  for (int64_t row = 0; row < options.stride.height; ++row) {
    const PhaseAxis rows =
        phase_axis(row, dx[1], w[1], options.stride.height, options.padding.height, options.dilation.height);
    for (int64_t column = 0; column < options.stride.width; ++column) {
      const PhaseAxis columns = phase_axis(column, dx[2], w[2], options.stride.width, options.padding.width,
                                           options.dilation.width);
      Correlation phase{.step = 1,
                        .count = {rows.count, columns.count},
                        .first = {rows.first, columns.first},
                        .spacing = options.stride,
                        .taps = {}};
      for (const auto& row_tap : rows.taps) {
        for (const auto& column_tap : columns.taps) {
          phase.taps.push_back({.row = row_tap.first,
                                .column = column_tap.first,
                                .index = row_tap.second * w[2] + column_tap.second});
        }
      }
      if (phase.count.height > 0 && phase.count.width > 0 && !phase.taps.empty())
        phases.push_back(std::move(phase));
    }
  }
  return phases;
}

int64_t packed_width(const std::vector<Panel>& panels, int lanes) {
  int64_t vectors = 0;
  for (const Panel& panel : panels) vectors += panel.vectors;
  return vectors * lanes;
}

}  // namespace

void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Tensor& y) {
  if (y.numel() == 0) return;
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / options.groups;
  const int64_t positions = w.size(1) * w.size(2);
  const Correlation correlation = forward_correlation(w.shape(), y.shape(), options);
  const std::vector<Panel> panels = panels_of(outputs, kernels.lanes);
  const int64_t width = packed_width(panels, kernels.lanes);
  Tensor packed = scratch_of(positions * channels * width);
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
  if (dx.numel() == 0) return;
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / options.groups;
  const int64_t positions = w.size(1) * w.size(2);
  const std::vector<Correlation> phases = backward_correlations(dx.shape(), w.shape(), options);
  int64_t covered = 0;
  for (const Correlation& phase : phases) covered += phase.count.height * phase.count.width;
  if (covered < dx.size(1) * dx.size(2)) dx.fill(0.0);  // pixels that no window sees
  const std::vector<Panel> panels = panels_of(channels, kernels.lanes);
  Tensor packed = scratch_of(positions * outputs * packed_width(panels, kernels.lanes));
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

namespace {

/// One group's weight gradient as [position][channel][padded output]: the images of one chunk, added to
/// `partial`.
struct WeightGradient {
  Correlation correlation;
  Window window;
  TapRuns runs;
  std::vector<Panel> panels;
  int64_t width = 0;  // padded outputs
};

void add_image(const WeightGradient& gradient, const float* scratch, const float* dy, int64_t dy_pitch,
               const DirectKernels& kernels, float* partial) {
  const Size2d count = gradient.correlation.count;
  const Size2d step = gradient.correlation.step;
  const int64_t row_floats = gradient.window.width * gradient.window.channels;
  const int64_t block = std::max<int64_t>(1, kWeightBlockPixels / count.width);
  for (int64_t row = 0; row < count.height; row += block) {
    DirectWeightTile tile{.x = nullptr,
                          .x_row = step.height * row_floats,
                          .x_pitch = step.width * gradient.window.channels,
                          .dy = nullptr,
                          .dy_row = count.width * dy_pitch,
                          .dy_pitch = dy_pitch,
                          .rows = std::min(block, count.height - row),
                          .pixels = count.width,
                          .dw = nullptr,
                          .dw_pitch = gradient.width};
    for (size_t run = 0; run < gradient.runs.offsets.size(); ++run) {
      const float* x = scratch + row * tile.x_row + gradient.runs.offsets[run];
      float* dw = partial + static_cast<int64_t>(run) * gradient.runs.channels * gradient.width;
      int64_t offset = 0;  // padded: panels start at multiples of the vector length
      for (const Panel& panel : gradient.panels) {
        const int64_t most = kernels.max_channels[panel.vectors - 1];
        const int64_t tiles = chunk_count(gradient.runs.channels, most);
        tile.dy = dy + row * tile.dy_row + offset;
        for (int64_t t = 0; t < tiles; ++t) {
          const int64_t begin = t * gradient.runs.channels / tiles;
          const int64_t end = (t + 1) * gradient.runs.channels / tiles;
          tile.x = x + begin;
          tile.dw = dw + begin * gradient.width + offset;
          kernels.weight_tile[panel.vectors - 1][end - begin - 1](tile);
        }
        offset += int64_t{panel.vectors} * kernels.lanes;
      }
    }
  }
}

}  // namespace

void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Tensor& dw) {
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = dw.size(3);
  const int64_t outputs = dw.size(0) / options.groups;
  const int64_t positions = dw.size(1) * dw.size(2);
  const int64_t batch = x.size(0);
  if (dy.numel() == 0) return dw.fill(0.0);
  WeightGradient gradient;
  gradient.correlation = forward_correlation(dw.shape(), dy.shape(), options);
  gradient.window = window_of(gradient.correlation, channels);
  gradient.runs = merge_taps(gradient.correlation.taps, gradient.window);
  gradient.panels = panels_of(outputs, kernels.lanes);
  gradient.width = packed_width(gradient.panels, kernels.lanes);
  const int64_t partial_floats = positions * channels * gradient.width;
  const int64_t affordable = std::max<int64_t>(2, kPartialBytes / (partial_floats * int64_t{sizeof(float)}));
  const int64_t grain = chunk_count(batch, std::min({batch, kMaxWeightPartials, affordable}));
  const int64_t chunks = chunk_count(batch, grain);
  const int64_t pixels = dy.size(1) * dy.size(2);
  const bool copy_gradient = options.groups > 1 || gradient.width != outputs;
  Tensor partials = scratch_of(chunks * partial_floats);
  for (int64_t group = 0; group < options.groups; ++group) {
    parallel_chunks(chunks, [&](int64_t chunk) {
      float* partial = partials.data<float>() + chunk * partial_floats;
      std::fill_n(partial, partial_floats, 0.0F);
      Tensor memory = scratch_of(gradient.window.size() + (copy_gradient ? pixels * gradient.width : 0));
      float* scratch = memory.data<float>();
      for (int64_t n = chunk * grain; n < std::min(batch, (chunk + 1) * grain); ++n) {
        fill_window(gradient.window, x.data<float>() + n * x.size(1) * x.size(2) * x.size(3),
                    {x.size(1), x.size(2)}, x.size(3), group * channels, scratch);
        const float* image_dy = dy.data<float>() + n * pixels * dy.size(3);
        if (copy_gradient) {  // pads the output channels to whole vectors
          float* copy = scratch + gradient.window.size();
          for (int64_t p = 0; p < pixels; ++p) {
            std::copy_n(image_dy + p * dy.size(3) + group * outputs, outputs, copy + p * gradient.width);
            std::fill_n(copy + p * gradient.width + outputs, gradient.width - outputs, 0.0F);
          }
          image_dy = copy;
        }
        add_image(gradient, scratch, image_dy, gradient.width, kernels, partial);
      }
    });
    float* target = dw.data<float>() + group * outputs * positions * channels;
    const float* source = partials.data<float>();
    parallel_for(positions * channels, 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {  // row = position * channels + channel
        for (int64_t o = 0; o < outputs; ++o) {
          float sum = 0.0F;
          for (int64_t chunk = 0; chunk < chunks; ++chunk)
            sum += source[chunk * partial_floats + row * gradient.width + o];
          target[o * positions * channels + row] = sum;
        }
      }
    });
  }
}

}  // namespace ds::cpu
