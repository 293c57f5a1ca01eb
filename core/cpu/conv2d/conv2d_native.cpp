#include "core/cpu/conv2d/conv2d_native.h"

#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

// Enough work a chunk to hide its hand-out and to use packed weights again; few enough pixels that a band of
// an image stays in the cache; and for a single image enough chunks to keep many threads busy.
constexpr int64_t kFewestPixels = 256;
constexpr int64_t kMostPixels = 1024;
constexpr int64_t kFewestChunks = 16;

/// Weights of one group as [panel][tap][channel][lanes of the panel], zero beyond the last output channel.
/// weight(tap index, channel, output) reads them.
template <class Weight>
void pack_weights(const std::vector<Tap>& taps, int64_t channels, const std::vector<Panel>& panels, int lanes,
                  const Weight& weight, float* packed) {
  const int64_t rows = static_cast<int64_t>(taps.size()) * channels;
  parallel_chunks(static_cast<int64_t>(panels.size()), [&](int64_t chunk) {
    const Panel& panel = panels[static_cast<size_t>(chunk)];
    const int64_t width = int64_t{panel.vectors} * lanes;
    float* row = packed + rows * panel.first;
    for (const Tap& tap : taps) {
      for (int64_t c = 0; c < channels; ++c, row += width) {
        for (int64_t o = 0; o < panel.outputs; ++o) row[o] = weight(tap.index, c, panel.first + o);
        std::fill(row + panel.outputs, row + width, 0.0F);
      }
    }
  });
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

  int64_t source_image() const { return source_size.height * source_size.width * source_pitch; }
  int64_t target_image() const { return target_size.height * target_size.width * target_pitch; }
};

/// Filters of one group, and what happens to their outputs.
struct Filters {
  const std::vector<Panel>& panels;
  const float* packed;
  const float* bias;
  Conv2dEpilogue epilogue;
};

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

/// One correlation of all images with one group of filters.
class Correlator {
 public:
  Correlator(const Correlation& correlation, const Images& images, const Filters& filters)
      : kernels_(direct_kernels()),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        window_(window_of(correlation, images.source_channels)),
        runs_(merge_taps(correlation.taps, window_)) {}

  void run(int64_t batch) const {
    const auto panels = static_cast<int64_t>(filters_.panels.size());
    const Cut cut = Cut::of(correlation_.count, batch, panels);
    const int64_t bands = chunk_count(correlation_.count.height, cut.rows);
    const int64_t places = chunk_count(batch, cut.images) * bands;
    parallel_chunks(places * chunk_count(panels, cut.panels), [&](int64_t chunk) {
      const int64_t image = chunk % places / bands * cut.images;
      const int64_t row = chunk % bands * cut.rows;
      const int64_t panel = chunk / places * cut.panels;
      run_chunk({.first = image,
                 .last = std::min(batch, image + cut.images),
                 .begin = row,
                 .end = std::min(correlation_.count.height, row + cut.rows)},
                panel, std::min(panels, panel + cut.panels));
    });
  }

 private:
  void run_chunk(const Place& place, int64_t first_panel, int64_t last_panel) const {
    const Window window = band_of(window_, correlation_, place.begin, place.end);
    Tensor memory = Tensor::empty({(place.last - place.first) * window.size()});
    float* scratch = memory.data<float>();
    for (int64_t n = place.first; n < place.last; ++n) {
      fill_window(window, images_.source + n * images_.source_image(), images_.source_size,
                  images_.source_pitch, images_.source_from, scratch + (n - place.first) * window.size());
    }
    for (int64_t p = first_panel; p < last_panel; ++p) {
      for (int64_t n = place.first; n < place.last; ++n) {
        correlate(n, place, filters_.panels[static_cast<size_t>(p)],
                  scratch + (n - place.first) * window.size());
      }
    }
    const Panel& first = filters_.panels[static_cast<size_t>(first_panel)];
    const Panel& last = filters_.panels[static_cast<size_t>(last_panel - 1)];
    finish(place, first.first, last.first + last.outputs);
  }

  /// All pixels of one image and one panel.
  void correlate(int64_t image, const Place& place, const Panel& panel, const float* scratch) const {
    const int64_t width = correlation_.count.width;
    const int64_t tap_rows = static_cast<int64_t>(correlation_.taps.size()) * images_.source_channels;
    const int64_t tiles = chunk_count(width, kernels_.max_pixels[panel.vectors - 1]);
    DirectTile tile{.x = nullptr,
                    .x_pitch = correlation_.step.width * window_.channels,
                    .tap_offsets = runs_.offsets.data(),
                    .taps = static_cast<int64_t>(runs_.offsets.size()),
                    .channels = runs_.channels,
                    .w = filters_.packed + tap_rows * panel.first,
                    .bias = filters_.bias == nullptr ? nullptr : filters_.bias + panel.first,
                    .y = nullptr,
                    .y_pitch = correlation_.spacing.width * images_.target_pitch,
                    .outputs = panel.outputs};
    const int64_t x_row = correlation_.step.height * window_.width * window_.channels;
    for (int64_t row = place.begin; row < place.end; ++row) {
      const float* x = scratch + (row - place.begin) * x_row;
      float* y = images_.target + offset_of(image, row) + panel.first;
      // Tiles as even as they come: 32 pixels are 11 + 11 + 10, not 12 + 12 + 8.
      for (int64_t t = 0; t < tiles; ++t) {
        const int64_t begin = t * width / tiles;
        const int64_t end = (t + 1) * width / tiles;
        tile.x = x + begin * tile.x_pitch;
        tile.y = y + begin * tile.y_pitch;
        kernels_.tile[panel.vectors - 1][end - begin - 1](tile);
      }
    }
  }

  /// What follows the convolution, on the group's channels [from, to). Only forward passes have it: they
  /// write whole rows.
  void finish(const Place& place, int64_t from, int64_t to) const {
    if (filters_.epilogue.empty()) return;
    const int64_t pixels = (place.end - place.begin) * correlation_.count.width;
    for (int64_t n = place.first; n < place.last; ++n) {
      filters_.epilogue.apply(images_.target, offset_of(n, place.begin) + from, pixels, images_.target_pitch,
                              to - from);
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
  Window window_;
  TapRuns runs_;
};

}  // namespace

DirectFilters pack_direct(const Tensor& w, const Tensor& bias, int64_t groups) {
  const int lanes = direct_kernels().lanes;
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / groups;
  const int64_t positions = w.size(1) * w.size(2);
  const std::vector<Panel> panels = panels_of(outputs, lanes);
  const int64_t width = packed_width(panels, lanes);
  std::vector<Tap> taps(static_cast<size_t>(positions));
  for (int64_t i = 0; i < positions; ++i) taps[static_cast<size_t>(i)].index = i;
  DirectFilters filters{.shape = w.shape(),
                        .packed = Tensor::empty({groups, positions * channels * width}),
                        .bias = bias.defined() ? Tensor::zeros({groups, width}) : Tensor{}};
  for (int64_t group = 0; group < groups; ++group) {
    const float* weights = w.data<float>() + group * outputs * positions * channels;
    pack_weights(
        taps, channels, panels, lanes,
        [&](int64_t tap, int64_t c, int64_t o) { return weights[(o * positions + tap) * channels + c]; },
        filters.packed.data<float>() + group * positions * channels * width);
    if (!bias.defined()) continue;
    std::copy_n(bias.data<float>() + group * outputs, outputs, filters.bias.data<float>() + group * width);
  }
  return filters;
}

void conv2d_direct(const Tensor& x, const DirectFilters& filters, const Conv2dOptions& options,
                   const Conv2dEpilogue& epilogue, Tensor& y) {
  const Shape& w = filters.shape;
  const int64_t outputs = w[0] / options.groups;
  const Correlation correlation = forward_correlation(w, y.shape(), options);
  const std::vector<Panel> panels = panels_of(outputs, direct_kernels().lanes);
  for (int64_t group = 0; group < options.groups; ++group) {
    const Images images{.source = x.data<float>(),
                        .source_size = {x.size(1), x.size(2)},
                        .source_pitch = x.size(3),
                        .source_from = group * w[3],
                        .source_channels = w[3],
                        .target = y.data<float>(),
                        .target_size = {y.size(1), y.size(2)},
                        .target_pitch = y.size(3),
                        .target_from = group * outputs};
    const Filters of_group{
        .panels = panels,
        .packed = filters.packed.slice(group, group + 1).data<float>(),
        .bias = filters.bias.defined() ? filters.bias.slice(group, group + 1).data<float>() : nullptr,
        .epilogue = epilogue};
    Correlator(correlation, images, of_group).run(x.size(0));
  }
}

void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Tensor& y) {
  conv2d_direct(x, pack_direct(w, bias, options.groups), options, {}, y);
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
  const Filters filters{.panels = panels, .packed = packed.data<float>(), .bias = nullptr, .epilogue = {}};
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
      Correlator(phase, images, filters).run(dy.size(0));
    }
  }
}

}  // namespace ds::cpu
