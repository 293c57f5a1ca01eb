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

/// Taps that are neighbours in the image become one.
Part part_of(const Region& region, const Correlation& correlation, const Images& images) {
  const int64_t channels = images.source_channels;
  std::vector<Tap> taps;
  for (const size_t t : region.taps) taps.push_back(correlation.taps[t]);
  const size_t run = images.source_pitch == channels ? run_length(taps) : 1;
  Part part{.rows = region.rows,
            .columns = region.columns,
            .taps = {},
            .channels = static_cast<int64_t>(run) * channels};
  for (size_t i = 0; i < taps.size(); i += run) {
    part.taps.push_back({.x = (taps[i].row * images.source_size.width + taps[i].column) * images.source_pitch,
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
        length_(static_cast<int64_t>(correlation.taps.size()) * images.source_channels) {
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
      const Panel& panel = filters_.panels[static_cast<size_t>(p)];
      const DirectTile tile = tile_of(panel, images_, filters_, length_);
      for (int64_t n = place.first; n < place.last; ++n) {
        for (const Part& part : parts_) correlate(n, place, part, panel, tile);
      }
    }
    finish_place(place, images_, filters_, correlation_);
  }

  /// All pixels of one region, one image and one panel, which `tile` is of.
  void correlate(int64_t image, const Place& place, const Part& part, const Panel& panel,
                 DirectTile tile) const {
    const int64_t begin = std::max(place.begin, part.rows.begin);
    const int64_t end = std::min(place.end, part.rows.end);
    if (begin >= end) return;
    const int64_t source_pixel = correlation_.step.width * images_.source_pitch;
    const int64_t source_row = correlation_.step.height * images_.source_size.width * images_.source_pitch;
    const int64_t target_pixel = correlation_.spacing.width * images_.target_pitch;
    const int64_t target_row = correlation_.spacing.height * images_.target_size.width * images_.target_pitch;
    tile.tap = part.taps.data();
    tile.taps = static_cast<int64_t>(part.taps.size());
    tile.channels = part.channels;
    const float* x = images_.source + image * images_.source_image() + images_.source_from +
                     begin * source_row + part.columns.begin * source_pixel;
    float* y = images_.target + target_offset(image, begin, images_, correlation_) +
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
  std::vector<Part> parts_;
};

}  // namespace

void correlate_in_place(const Correlation& correlation, const Images& images, const Filters& filters,
                        int64_t batch) {
  InPlaceCorrelator(correlation, images, filters).run(batch);
}

}  // namespace ds::cpu
