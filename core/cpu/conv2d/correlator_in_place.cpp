// A correlation that reads the images where they are. Output pixels fall into rectangles that see the same
// taps: one in the middle, and at each edge those whose windows reach into the border.
#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/conv2d/cut.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

/// A region, and what the kernels read for each of its pixels.
struct Part {
  Segment rows;
  Segment columns;
  std::vector<DirectTap> taps;
  int64_t channels;  // of a tap
};

/// Taps that are neighbours in the image become one, in a region of whole runs of them.
Part part_of(const Region& region, const Correlation& correlation, const Images& images) {
  const int64_t channels = images.source_channels;
  const auto continues = [&](size_t i) {
    const Tap& tap = correlation.taps[region.taps[i]];
    const Tap& before = correlation.taps[region.taps[i - 1]];
    return images.source_pitch == channels && region.taps[i] == region.taps[i - 1] + 1 &&
           tap.row == before.row && tap.column == before.column + 1;
  };
  const size_t count = region.taps.size();
  size_t run = 1;
  while (run < count && continues(run)) ++run;
  bool regular = count % run == 0;
  for (size_t i = 1; i < count; ++i) regular = regular && continues(i) == (i % run != 0);
  if (!regular) run = 1;
  Part part{.rows = region.rows,
            .columns = region.columns,
            .taps = {},
            .channels = static_cast<int64_t>(run) * channels};
  for (size_t i = 0; i < count; i += run) {
    const Tap& tap = correlation.taps[region.taps[i]];
    part.taps.push_back({.x = (tap.row * images.source_size.width + tap.column) * images.source_pitch,
                         .w = static_cast<int64_t>(region.taps[i]) * channels});
  }
  return part;
}

class InPlaceCorrelator {
 public:
  InPlaceCorrelator(const Correlation& correlation, const Images& images, const Filters& filters)
      : kernels_(direct_kernels()),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        length_(static_cast<int64_t>(correlation.taps.size()) * images.source_channels),
        streams_(streams_outputs(images, filters)) {
    for (const Region& region : regions_of(correlation, images.source_size))
      parts_.push_back(part_of(region, correlation, images));
  }

  void run(int64_t batch) const {
    const Cut cut(correlation_.count, batch, static_cast<int64_t>(filters_.panels.size()));
    parallel_chunks(cut.chunks(), [&](int64_t chunk) { run_chunk(cut.place(chunk)); });
  }

 private:
  void run_chunk(const Place& place) const {
    for (int64_t p = place.panels.first; p < place.panels.last; ++p) {
      for (int64_t n = place.first; n < place.last; ++n) {
        for (const Part& part : parts_) correlate(n, place, part, filters_.panels[static_cast<size_t>(p)]);
      }
    }
    finish(place, images_, filters_, correlation_);
  }

  /// All pixels of one region, one image and one panel.
  void correlate(int64_t image, const Place& place, const Part& part, const Panel& panel) const {
    const int64_t begin = std::max(place.begin, part.rows.begin);
    const int64_t end = std::min(place.end, part.rows.end);
    if (begin >= end) return;
    const int64_t source_pixel = correlation_.step.width * images_.source_pitch;
    const int64_t source_row = correlation_.step.height * images_.source_size.width * images_.source_pitch;
    const int64_t target_pixel = correlation_.spacing.width * images_.target_pitch;
    const int64_t target_row = correlation_.spacing.height * images_.target_size.width * images_.target_pitch;
    DirectTile tile{.x = nullptr,
                    .x_pitch = 0,
                    .tap = part.taps.data(),
                    .taps = static_cast<int64_t>(part.taps.size()),
                    .channels = part.channels,
                    .w = filters_.packed + length_ * panel.first,
                    .bias = filters_.bias == nullptr ? nullptr : filters_.bias + panel.first,
                    .y = nullptr,
                    .y_pitch = 0,
                    .outputs = panel.outputs,
                    .streams = streams_};
    const float* x = images_.source + image * images_.source_image() + images_.source_from +
                     begin * source_row + part.columns.begin * source_pixel;
    float* y = images_.target + offset_of(image, begin, images_, correlation_) +
               part.columns.begin * target_pixel + panel.first;
    int64_t lines = end - begin;
    int64_t length = part.columns.size();
    std::pair line{source_row, target_row};
    std::pair pixel{source_pixel, target_pixel};
    if (length < lines && length < kNarrow) {  // down the columns
      std::swap(lines, length);
      std::swap(line, pixel);
    }
    std::tie(tile.x_pitch, tile.y_pitch) = pixel;
    for (int64_t i = 0; i < lines; ++i, x += line.first, y += line.second) {
      for_even_pieces(length, kernels_.max_pixels[panel.vectors - 1], [&](int64_t from, int64_t pixels) {
        tile.x = x + from * tile.x_pitch;
        tile.y = y + from * tile.y_pitch;
        tile.ahead = tile.x;
        kernels_.tile[panel.vectors - 1][pixels - 1](tile);
      });
    }
  }

  static constexpr int64_t kNarrow = 4;  // pixels, of which tiles would use a weight too seldom

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  int64_t length_;  // rows of weights of a panel
  bool streams_;
  std::vector<Part> parts_;
};

}  // namespace

void correlate_in_place(const Correlation& correlation, const Images& images, const Filters& filters,
                        int64_t batch) {
  InPlaceCorrelator(correlation, images, filters).run(batch);
}

}  // namespace ds::cpu
