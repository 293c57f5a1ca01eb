#include "core/cpu/conv2d/correlation.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ds::cpu {
namespace {

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

/// Cuts `count` outputs of an axis where a tap enters or leaves the source. Output m reads m * step + tap.
std::vector<Segment> segments_of(const std::vector<int64_t>& taps, int64_t count, int64_t step,
                                 int64_t size) {
  std::vector<int64_t> cuts = {0, count};
  for (const int64_t tap : taps) {
    cuts.push_back(std::clamp<int64_t>((step - 1 - tap) / step, 0, count));  // the first m that is inside
    cuts.push_back(std::clamp<int64_t>((size - tap + step - 1) / step, 0, count));  // the first m beyond
  }
  std::ranges::sort(cuts);
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<Segment> segments;
  for (size_t i = 1; i < cuts.size(); ++i) segments.push_back({cuts[i - 1], cuts[i]});
  return segments;
}

}  // namespace

std::vector<Region> regions_of(const Correlation& correlation, Size2d source) {
  std::vector<int64_t> rows;
  std::vector<int64_t> columns;
  for (const Tap& tap : correlation.taps) {
    rows.push_back(tap.row);
    columns.push_back(tap.column);
  }
  const Size2d step = correlation.step;
  const auto inside = [](int64_t position, int64_t size) { return 0 <= position && position < size; };
  std::vector<Region> regions;
  for (const Segment& row : segments_of(rows, correlation.count.height, step.height, source.height)) {
    for (const Segment& column : segments_of(columns, correlation.count.width, step.width, source.width)) {
      Region region{.rows = row, .columns = column, .taps = {}};
      for (size_t t = 0; t < correlation.taps.size(); ++t) {
        const Tap& tap = correlation.taps[t];
        if (inside(row.begin * step.height + tap.row, source.height) &&
            inside(column.begin * step.width + tap.column, source.width)) {
          region.taps.push_back(t);
        }
      }
      regions.push_back(std::move(region));
    }
  }
  return regions;
}

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

Window band_of(const Window& whole, const Correlation& correlation, int64_t begin, int64_t end) {
  Window band = whole;
  band.top += begin * correlation.step.height;
  band.height -= (correlation.count.height - (end - begin)) * correlation.step.height;
  return band;
}

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

size_t run_length(const std::vector<Tap>& taps) {
  const auto continues = [&](size_t i) {
    return taps[i].row == taps[i - 1].row && taps[i].column == taps[i - 1].column + 1;
  };
  size_t length = 1;
  while (length < taps.size() && continues(length)) ++length;
  bool regular = taps.size() % length == 0;
  for (size_t i = 1; i < taps.size(); ++i) regular = regular && (i % length == 0 || continues(i));
  return regular ? length : 1;
}

TapRuns merge_taps(const std::vector<Tap>& taps, const Window& window) {
  const size_t length = run_length(taps);
  TapRuns runs{.offsets = {}, .channels = window.channels * static_cast<int64_t>(length)};
  for (size_t start = 0; start < taps.size(); start += length) {
    runs.offsets.push_back(window.offset(taps[start].row, taps[start].column));
  }
  return runs;
}

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

int64_t packed_width(const std::vector<Panel>& panels, int lanes) {
  int64_t vectors = 0;
  for (const Panel& panel : panels) vectors += panel.vectors;
  return vectors * lanes;
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

int64_t pixels_covered(const std::vector<Correlation>& phases) {
  int64_t covered = 0;
  for (const Correlation& phase : phases) covered += phase.count.height * phase.count.width;
  return covered;
}

}  // namespace ds::cpu
