#include "core/cpu/conv2d/correlator.h"

#include "core/cpu/conv2d/cut.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

constexpr int64_t kWindowRows = 4;  // that a chunk fills where all chunks share the windows

/// Reads from windows: copies of the images with a border of zeros, made of words of two bf16 values.
class WindowCorrelator {
 public:
  WindowCorrelator(const Correlation& correlation, const Images& images, const Filters& filters)
      : kernels_(direct_kernels(filters.precision)),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        window_(window_of(correlation, images.source_channels / kernels_.values)) {
    const TapRuns runs = merge_taps(correlation.taps, window_);
    channels_ = runs.channels;
    for (const int64_t offset : runs.offsets)
      taps_.push_back({.x = offset, .w = static_cast<int64_t>(taps_.size()) * channels_});
  }

  void run(int64_t batch) const {
    const Cut cut(correlation_.count, batch, static_cast<int64_t>(filters_.panels.size()));
    const Tensor shared = cut.divides_panels() ? fill_windows(batch) : Tensor();
    parallel_chunks(cut.chunks(), [&](int64_t chunk) { run_chunk(cut.place(chunk), shared); });
  }

 private:
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
    Window of_floats = window;
    of_floats.channels *= kernels_.values;
    Tensor floats = Tensor::empty({of_floats.size()});
    fill_window(of_floats, images_.source + image * images_.source_image(), images_.source_size,
                images_.source_pitch, images_.source_from, floats.data<float>());
    kernels_.pair_neighbours(floats.data<float>(), window.size(), scratch);
  }

  void run_chunk(const Place& place, const Tensor& shared) const {
    if (shared.defined()) {
      run_panels(place, shared.data<float>() + place.first * window_.size() + place.begin * source_row(),
                 window_.size());
    } else {
      const Window band = band_of(window_, correlation_, place.begin, place.end);
      Tensor memory = Tensor::empty({(place.last - place.first) * band.size()});
      float* scratch = memory.data<float>();
      for (int64_t n = place.first; n < place.last; ++n)
        fill(band, n, scratch + (n - place.first) * band.size());
      run_panels(place, scratch, band.size());
    }
    finish_place(place, images_, filters_, correlation_);
  }

  /// `source`: what the first row of the place's first image reads; `pitch` floats on, the next image's.
  void run_panels(const Place& place, const float* source, int64_t pitch) const {
    for (int64_t p = place.panels.first; p < place.panels.last; ++p) {
      for (int64_t n = place.first; n < place.last; ++n) {
        correlate(n, place, filters_.panels[static_cast<size_t>(p)], source + (n - place.first) * pitch);
      }
    }
  }

  /// All pixels of one image and one panel.
  void correlate(int64_t image, const Place& place, const Panel& panel, const float* source) const {
    const int64_t length = static_cast<int64_t>(correlation_.taps.size()) * window_.channels;
    DirectTile tile = tile_of(panel, images_, filters_, length);
    tile.tap = taps_.data();
    tile.taps = static_cast<int64_t>(taps_.size());
    tile.channels = channels_;
    tile.x_pitch = correlation_.step.width * window_.channels;
    tile.y_pitch = correlation_.spacing.width * images_.target_pitch;
    for (int64_t row = place.begin; row < place.end; ++row) {
      const float* x = source + (row - place.begin) * source_row();
      float* y = images_.target + target_offset(image, row, images_, correlation_) + panel.first;
      for_even_pieces(correlation_.count.width, kernels_.max_pixels[panel.vectors - 1],
                      [&](int64_t begin, int64_t pixels) {
                        tile.x = x + begin * tile.x_pitch;
                        tile.ahead = tile.x;
                        tile.y = y + begin * tile.y_pitch;
                        kernels_.tile[panel.vectors - 1][pixels - 1](tile);
                      });
    }
  }

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  Window window_;                // in words
  std::vector<DirectTap> taps_;  // those whose inputs are neighbours as one
  int64_t channels_ = 0;         // of each
};

/// Whether tiles of one pixel of many images are worth gathering: those of a narrow image are too small to
/// use a weight often.
bool prefers_positions(const Correlation& correlation, const Filters& filters, int64_t batch) {
  constexpr int64_t kFewestPositions = 16;  // a chunk each
  constexpr int64_t kMostPositions = 64;    // further apart, images lie in pages of their own
  constexpr int64_t kFewestImages = 32;
  constexpr int64_t kWidest = 4;
  constexpr int64_t kOutputs = 64;
  const int64_t positions = correlation.count.height * correlation.count.width;
  const Panel& last = filters.panels.back();
  return correlation.taps.size() > 1 && correlation.count.width <= kWidest && batch >= kFewestImages &&
         positions >= kFewestPositions && positions <= kMostPositions &&
         last.first + last.outputs >= kOutputs;
}

/// Whether the rows of a matrix are worth gathering: tiles of few pixels waste what they load, and enough
/// outputs use a gathered row again.
bool prefers_rows(const Correlation& correlation, const Images& images, const Filters& filters) {
  constexpr int64_t kOutputs = 64;
  constexpr double kFull = 0.6;
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
  if (prefers_positions(correlation, filters, batch)) {
    correlate_positions(correlation, images, filters, batch);
  } else if (prefers_rows(correlation, images, filters)) {
    correlate_rows(correlation, images, filters, batch);
  } else if (filters.precision == Precision::kF32) {
    correlate_in_place(correlation, images, filters, batch);
  } else {
    WindowCorrelator(correlation, images, filters).run(batch);
  }
}

}  // namespace ds::cpu
