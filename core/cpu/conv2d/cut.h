// How the output of a correlation is cut into chunks, and what they share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/kernels/direct.h"
#include "core/op_options.h"
#include "core/parallel.h"

namespace ds::cpu {

struct PanelRange {
  int64_t first;
  int64_t last;
};

/// Where a chunk works: output rows [begin, end) of images [first, last), and panels of outputs.
struct Place {
  int64_t first;
  int64_t last;
  int64_t begin;
  int64_t end;
  PanelRange panels;
};

/// Whole images, or bands of rows of one; where these are few, some of the panels at a time. It depends on
/// the shape alone.
class Cut {
 public:
  Cut(Size2d count, int64_t batch, int64_t panels) : count_(count), batch_(batch), panels_(panels) {
    const int64_t pixels = count.height * count.width;
    const int64_t band = std::clamp(batch * pixels / kFewestChunks, kFewestPixels, kMostPixels);
    rows_ = std::clamp<int64_t>(band / count.width, 1, count.height);
    if (rows_ == count.height) images_ = std::clamp<int64_t>(kFewestPixels / pixels, 1, batch);
    if (places() < kFewestChunks) panels_a_chunk_ = chunk_count(panels, chunk_count(kFewestChunks, places()));
  }

  int64_t chunks() const { return places() * chunk_count(panels_, panels_a_chunk_); }
  bool divides_panels() const { return panels_a_chunk_ < panels_; }

  Place place(int64_t chunk) const {
    const int64_t image = chunk % places() / bands() * images_;
    const int64_t row = chunk % bands() * rows_;
    const int64_t panel = chunk / places() * panels_a_chunk_;
    return {.first = image,
            .last = std::min(batch_, image + images_),
            .begin = row,
            .end = std::min(count_.height, row + rows_),
            .panels = {.first = panel, .last = std::min(panels_, panel + panels_a_chunk_)}};
  }

 private:
  // Enough work a chunk to hide its hand-out and to use packed weights again; few enough pixels that a band
  // of an image stays in the cache; and for a single image enough chunks to keep many threads busy.
  static constexpr int64_t kFewestPixels = 256;
  static constexpr int64_t kMostPixels = 1024;
  static constexpr int64_t kFewestChunks = 16;

  int64_t bands() const { return chunk_count(count_.height, rows_); }
  int64_t places() const { return chunk_count(batch_, images_) * bands(); }

  Size2d count_;
  int64_t batch_;
  int64_t panels_;
  int64_t images_ = 1;  // a chunk
  int64_t rows_ = 1;    // a band
  int64_t panels_a_chunk_ = panels_;
};

/// What all tiles of a panel have in common; `length`: its rows of weights.
inline DirectTile tile_of(const Panel& panel, const Images& images, const Filters& filters, int64_t length) {
  DirectTile tile{};
  tile.w = filters.packed + length * panel.first;
  tile.bias = filters.bias == nullptr ? nullptr : filters.bias + panel.first;
  tile.outputs = panel.outputs;
  tile.streams = streams_outputs(images, filters);
  return tile;
}

/// Where the group's channels of the first pixel of an output row stand in the target.
inline int64_t target_offset(int64_t image, int64_t row, const Images& images,
                             const Correlation& correlation) {
  const int64_t target_row = correlation.first.height + row * correlation.spacing.height;
  return image * images.target_image() + images.target_from +
         (target_row * images.target_size.width + correlation.first.width) * images.target_pitch;
}

/// What follows the convolution in a place. Only forward passes have an epilogue: they write whole rows.
inline void finish_place(const Place& place, const Images& images, const Filters& filters,
                         const Correlation& correlation) {
  const int64_t from = filters.panels[static_cast<size_t>(place.panels.first)].first;
  const Panel& last = filters.panels[static_cast<size_t>(place.panels.last - 1)];
  const int64_t pixels = (place.end - place.begin) * correlation.count.width;
  for (int64_t n = place.first; n < place.last && !filters.epilogue.empty(); ++n) {
    filters.epilogue.apply(images.target, target_offset(n, place.begin, images, correlation) + from, pixels,
                           images.target_pitch, last.first + last.outputs - from);
  }
  if (streams_outputs(images, filters)) finish_streaming();
}

}  // namespace ds::cpu
