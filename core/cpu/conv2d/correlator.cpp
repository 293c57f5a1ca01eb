#include "core/cpu/conv2d/correlator.h"

#include <algorithm>

#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

// Enough work a chunk to hide its hand-out and to use packed weights again; few enough pixels that a band of
// an image stays in the cache; and for a single image enough chunks to keep many threads busy.
constexpr int64_t kFewestPixels = 256;
constexpr int64_t kMostPixels = 1024;
constexpr int64_t kFewestChunks = 16;
constexpr int64_t kWindowRows = 4;  // that a chunk fills where all chunks share the windows

/// Where a chunk works: output rows [begin, end) of images [first, last).
struct Place {
  int64_t first;
  int64_t last;
  int64_t begin;
  int64_t end;
};

/// How the output is cut into chunks: whole images, or bands of rows of one; where these are few, some of the
/// panels at a time. It depends on the shape alone.
struct Cut {
  int64_t images;  // a chunk
  int64_t rows;    // a band
  int64_t panels;  // a chunk

  static Cut of(Size2d count, int64_t batch, int64_t panels) {
    const int64_t pixels = count.height * count.width;
    const int64_t band = std::clamp(batch * pixels / kFewestChunks, kFewestPixels, kMostPixels);
    Cut cut{.images = 1, .rows = std::clamp<int64_t>(band / count.width, 1, count.height), .panels = panels};
    if (cut.rows == count.height) cut.images = std::clamp<int64_t>(kFewestPixels / pixels, 1, batch);
    const int64_t places = chunk_count(batch, cut.images) * chunk_count(count.height, cut.rows);
    if (places < kFewestChunks) cut.panels = chunk_count(panels, chunk_count(kFewestChunks, places));
    return cut;
  }
};

/// Reads from windows: copies of the images with a border of zeros, or the images themselves.
class WindowCorrelator {
 public:
  WindowCorrelator(const Correlation& correlation, const Images& images, const Filters& filters)
      : kernels_(direct_kernels(filters.precision)),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        window_(window_of(correlation, images.source_channels / kernels_.values)),
        streams_(streams_outputs(images, filters)) {
    // Without a border the image itself will do: its rows are longer, no more.
    in_place_ = kernels_.values == 1 && images.source_pitch == images.source_channels &&
                window_.within(images.source_size);
    if (in_place_) window_ = Window::whole(images.source_size, images.source_pitch);
    runs_ = merge_taps(correlation.taps, window_);
  }

  void run(int64_t batch) const {
    const auto panels = static_cast<int64_t>(filters_.panels.size());
    const Cut cut = Cut::of(correlation_.count, batch, panels);
    const int64_t bands = chunk_count(correlation_.count.height, cut.rows);
    const int64_t places = chunk_count(batch, cut.images) * bands;
    const Tensor shared = !in_place_ && cut.panels < panels ? fill_windows(batch) : Tensor();
    parallel_chunks(places * chunk_count(panels, cut.panels), [&](int64_t chunk) {
      const int64_t image = chunk % places / bands * cut.images;
      const int64_t row = chunk % bands * cut.rows;
      const int64_t panel = chunk / places * cut.panels;
      run_chunk({.first = image,
                 .last = std::min(batch, image + cut.images),
                 .begin = row,
                 .end = std::min(correlation_.count.height, row + cut.rows)},
                {.first = panel, .last = std::min(panels, panel + cut.panels)}, shared);
    });
  }

 private:
  struct PanelRange {
    int64_t first;
    int64_t last;
  };

  int64_t source_row() const { return correlation_.step.height * window_.width * window_.channels; }

  /// The windows of all images, for chunks that share them.
  Tensor fill_windows(int64_t batch) const {
    Tensor windows = Tensor::empty({batch, window_.size()});
    float* target = windows.data<float>();
    parallel_for(batch * window_.height, kWindowRows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Window row = window_;
        row.top += i % window_.height;
        row.height = 1;
        fill(row, i / window_.height, target + i * row.size());
      }
    });
    return windows;
  }

  void fill(const Window& window, int64_t image, float* scratch) const {
    const float* source = images_.source + image * images_.source_image();
    if (kernels_.values == 1) {
      fill_window(window, source, images_.source_size, images_.source_pitch, images_.source_from, scratch);
      return;
    }
    Window of_floats = window;
    of_floats.channels *= kernels_.values;
    Tensor floats = Tensor::empty({of_floats.size()});
    fill_window(of_floats, source, images_.source_size, images_.source_pitch, images_.source_from,
                floats.data<float>());
    kernels_.pair_neighbours(floats.data<float>(), window.size(), scratch);
  }

  void run_chunk(const Place& place, const PanelRange& range, const Tensor& shared) const {
    if (in_place_) {
      run_panels(place, range,
                 images_.source + place.first * images_.source_image() + place.begin * source_row(),
                 images_.source_image());
    } else if (shared.defined()) {
      run_panels(place, range,
                 shared.data<float>() + place.first * window_.size() + place.begin * source_row(),
                 window_.size());
    } else {
      const Window band = band_of(window_, correlation_, place.begin, place.end);
      Tensor memory = Tensor::empty({(place.last - place.first) * band.size()});
      float* scratch = memory.data<float>();
      for (int64_t n = place.first; n < place.last; ++n)
        fill(band, n, scratch + (n - place.first) * band.size());
      run_panels(place, range, scratch, band.size());
    }
    finish(place, range);
    if (streams_) finish_streaming();
  }

  /// `source`: what the first row of the place's first image reads; `pitch` floats on, the next image's.
  void run_panels(const Place& place, const PanelRange& range, const float* source, int64_t pitch) const {
    for (int64_t p = range.first; p < range.last; ++p) {
      for (int64_t n = place.first; n < place.last; ++n) {
        correlate(n, place, filters_.panels[static_cast<size_t>(p)], source + (n - place.first) * pitch);
      }
    }
  }

  /// All pixels of one image and one panel.
  void correlate(int64_t image, const Place& place, const Panel& panel, const float* source) const {
    const int64_t tap_rows = static_cast<int64_t>(correlation_.taps.size()) * window_.channels;
    DirectTile tile{.x = nullptr,
                    .x_pitch = correlation_.step.width * window_.channels,
                    .tap_offsets = runs_.offsets.data(),
                    .taps = static_cast<int64_t>(runs_.offsets.size()),
                    .channels = runs_.channels,
                    .w = filters_.packed + tap_rows * panel.first,
                    .bias = filters_.bias == nullptr ? nullptr : filters_.bias + panel.first,
                    .y = nullptr,
                    .y_pitch = correlation_.spacing.width * images_.target_pitch,
                    .outputs = panel.outputs,
                    .streams = streams_};
    for (int64_t row = place.begin; row < place.end; ++row) {
      const float* x = source + (row - place.begin) * source_row();
      float* y = images_.target + offset_of(image, row) + panel.first;
      for_even_pieces(correlation_.count.width, kernels_.max_pixels[panel.vectors - 1],
                      [&](int64_t begin, int64_t pixels) {
                        tile.x = x + begin * tile.x_pitch;
                        tile.y = y + begin * tile.y_pitch;
                        kernels_.tile[panel.vectors - 1][pixels - 1](tile);
                      });
    }
  }

  /// What follows the convolution. Only forward passes have it: they write whole rows.
  void finish(const Place& place, const PanelRange& range) const {
    if (filters_.epilogue.empty()) return;
    const int64_t from = filters_.panels[static_cast<size_t>(range.first)].first;
    const Panel& last = filters_.panels[static_cast<size_t>(range.last - 1)];
    const int64_t pixels = (place.end - place.begin) * correlation_.count.width;
    for (int64_t n = place.first; n < place.last; ++n) {
      filters_.epilogue.apply(images_.target, offset_of(n, place.begin) + from, pixels, images_.target_pitch,
                              last.first + last.outputs - from);
    }
  }

  /// Where the group's channels of the first pixel of an output row stand in the target.
  int64_t offset_of(int64_t image, int64_t row) const {
    const int64_t target_row = correlation_.first.height + row * correlation_.spacing.height;
    return image * images_.target_image() + images_.target_from +
           (target_row * images_.target_size.width + correlation_.first.width) * images_.target_pitch;
  }

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  Window window_;  // in words
  bool in_place_ = false;
  bool streams_;
  TapRuns runs_;
};

/// Whether the rows of a matrix are worth gathering: tiles of few pixels waste what they load, and enough
/// outputs use a gathered row again.
bool prefers_rows(const Correlation& correlation, const Images& images, const Filters& filters) {
  constexpr int64_t kOutputs = 64;
  constexpr double kFull = 0.8;
  const bool dense = correlation.spacing == Size2d(1) && correlation.count == images.target_size;
  if (!dense) return false;
  if (correlation.taps.size() == 1 && correlation.step == Size2d(1)) return true;
  const int64_t width = correlation.count.width;
  const int64_t most = direct_kernels().max_pixels[filters.panels.front().vectors - 1];
  const auto full = static_cast<double>(width) / static_cast<double>(chunk_count(width, most) * most);
  const Panel& last = filters.panels.back();
  return full < kFull && last.first + last.outputs >= kOutputs;
}

}  // namespace

void correlate(const Correlation& correlation, const Images& images, const Filters& filters, int64_t batch) {
  if (prefers_rows(correlation, images, filters)) {
    correlate_rows(correlation, images, filters, batch);
  } else {
    WindowCorrelator(correlation, images, filters).run(batch);
  }
}

}  // namespace ds::cpu
