// A correlation as a matrix product: a row for each output pixel, the pixels of all images one after the
// other.
#include <algorithm>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/cpu/prefetch.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

// Rows of a chunk: many enough to use the filters again, few enough to stay in the cache beside them.
constexpr int64_t kRowBytes = 1 << 20;
constexpr int64_t kFewestRows = 48;
constexpr int64_t kMostRows = 256;
// With fewer chunks than that, the panels are divided too, and all rows are gathered before.
constexpr int64_t kFewestChunks = 16;
constexpr int64_t kGatherGrain = 8;
constexpr int64_t kSmallFilters = 4096;  // floats

class RowCorrelator {
 public:
  RowCorrelator(const Correlation& correlation, const Images& images, const Filters& filters, int64_t batch)
      : kernels_(direct_kernels(filters.precision)),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        pixels_(correlation.count.height * correlation.count.width),
        rows_(batch * pixels_),
        length_(static_cast<int64_t>(correlation.taps.size()) * images.source_channels / kernels_.values),
        in_place_(kernels_.values == 1 && correlation.taps.size() == 1 && correlation.step == Size2d(1) &&
                  correlation.taps[0].row == 0 && correlation.taps[0].column == 0 &&
                  correlation.count == images.source_size),
        streams_(streams_outputs(images, filters)) {}

  void run() const {
    const auto panels = static_cast<int64_t>(filters_.panels.size());
    const int64_t fit = kRowBytes / (length_ * int64_t{sizeof(float)});
    const int64_t grain = std::clamp(fit, kFewestRows, kMostRows);
    const int64_t places = chunk_count(rows_, grain);
    const int64_t panel_grain =
        places < kFewestChunks ? chunk_count(panels, chunk_count(kFewestChunks, places)) : panels;
    const Tensor shared = !in_place_ && panel_grain < panels ? gather_all() : Tensor();
    parallel_chunks(places * chunk_count(panels, panel_grain), [&](int64_t chunk) {
      const int64_t begin = chunk % places * grain;
      const int64_t end = std::min(rows_, begin + grain);
      const int64_t first = chunk / places * panel_grain;
      const int64_t last = std::min(panels, first + panel_grain);
      if (in_place_) {
        multiply(begin, end, first, last, images_.source + begin * images_.source_pitch + images_.source_from,
                 images_.source_pitch);
      } else if (shared.defined()) {
        multiply(begin, end, first, last, shared.data<float>() + begin * length_, length_);
      } else {
        Tensor gathered = Tensor::empty({end - begin, length_});
        gather(begin, end, gathered.data<float>());
        multiply(begin, end, first, last, gathered.data<float>(), length_);
      }
    });
  }

 private:
  Tensor gather_all() const {
    Tensor gathered = Tensor::empty({rows_, length_});
    float* target = gathered.data<float>();
    parallel_for(rows_, kGatherGrain,
                 [&](int64_t begin, int64_t end) { gather(begin, end, target + begin * length_); });
    return gathered;
  }

  void gather(int64_t begin, int64_t end, float* target) const {
    if (kernels_.values == 1) return gather_floats(begin, end, target);
    Tensor floats = Tensor::empty({length_ * kernels_.values});
    for (int64_t i = begin; i < end; ++i, target += length_) {
      gather_floats(i, i + 1, floats.data<float>());
      kernels_.pair_neighbours(floats.data<float>(), length_, target);
    }
  }

  void gather_floats(int64_t begin, int64_t end, float* target) const {
    const Size2d size = images_.source_size;
    const int64_t channels = images_.source_channels;
    for (int64_t i = begin; i < end; ++i) {
      const float* image = images_.source + i / pixels_ * images_.source_image() + images_.source_from;
      const int64_t row = i % pixels_ / correlation_.count.width * correlation_.step.height;
      const int64_t column = i % correlation_.count.width * correlation_.step.width;
      for (const Tap& tap : correlation_.taps) {
        const int64_t r = row + tap.row;
        const int64_t c = column + tap.column;
        if (r >= 0 && r < size.height && c >= 0 && c < size.width) {
          std::copy_n(image + (r * size.width + c) * images_.source_pitch, channels, target);
        } else {
          std::fill_n(target, channels, 0.0F);
        }
        target += channels;
      }
    }
  }

  /// Rows [begin, end) times panels [first_panel, last_panel).
  void multiply(int64_t begin, int64_t end, int64_t first_panel, int64_t last_panel, const float* x,
                int64_t x_pitch) const {
    float* y = images_.target + begin * images_.target_pitch + images_.target_from;
    // Small filters stay in the L1 cache: rows are written from end to end, one tile after the other.
    const bool small = length_ * packed_width(filters_.panels, kernels_.lanes) <= kSmallFilters;
    const int64_t grain = small ? kernels_.max_pixels[filters_.panels.front().vectors - 1] : end - begin;
    for_even_pieces(end - begin, grain, [&](int64_t from, int64_t rows) {
      for (int64_t p = first_panel; p < last_panel; ++p) {
        multiply_panel(p, rows, p == first_panel, x + from * x_pitch, x_pitch,
                       y + from * images_.target_pitch);
      }
    });
    const int64_t from = filters_.panels[static_cast<size_t>(first_panel)].first;
    const Panel& last = filters_.panels[static_cast<size_t>(last_panel - 1)];
    filters_.epilogue.apply(images_.target, begin * images_.target_pitch + images_.target_from + from,
                            end - begin, images_.target_pitch, last.first + last.outputs - from);
    if (streams_) finish_streaming();
  }

  /// `count` rows times one panel. What comes from memory next is asked for a tile ahead: rows that nothing
  /// has read yet, and the next panel, so much of it a row.
  void multiply_panel(int64_t p, int64_t count, bool new_rows, const float* x, int64_t x_pitch,
                      float* y) const {
    constexpr int64_t kNoOffset = 0;
    const Panel& panel = filters_.panels[static_cast<size_t>(p)];
    DirectTile tile{.x = nullptr,
                    .x_pitch = x_pitch,
                    .tap_offsets = &kNoOffset,
                    .taps = 1,
                    .channels = length_,
                    .w = filters_.packed + length_ * panel.first,
                    .bias = filters_.bias == nullptr ? nullptr : filters_.bias + panel.first,
                    .y = nullptr,
                    .y_pitch = images_.target_pitch,
                    .outputs = panel.outputs,
                    .streams = streams_};
    const int64_t floats = length_ * panel.vectors * kernels_.lanes;
    const bool another = count > kernels_.max_pixels[panel.vectors - 1] &&
                         p + 1 < static_cast<int64_t>(filters_.panels.size());
    const int64_t share = another ? floats / count : 0;
    for_even_pieces(count, kernels_.max_pixels[panel.vectors - 1], [&](int64_t from, int64_t rows) {
      tile.x = x + from * x_pitch;
      tile.y = y + from * images_.target_pitch + panel.first;
      if (new_rows && in_place_) prefetch(tile.x + rows * x_pitch, rows * x_pitch);
      kernels_.tile[panel.vectors - 1][rows - 1](tile);
      prefetch(tile.w + floats + from * share, rows * share);
    });
  }

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  int64_t pixels_;  // of one image's output
  int64_t rows_;
  int64_t length_;  // words of a row
  bool in_place_;
  bool streams_;
};

}  // namespace

void correlate_rows(const Correlation& correlation, const Images& images, const Filters& filters,
                    int64_t batch) {
  RowCorrelator(correlation, images, filters, batch).run();
}

}  // namespace ds::cpu
