// What the native convolution computes: correlations of images with lists of taps.
//
// Forward and backward-data are the same computation, a *correlation*: an output pixel m (per axis) sums,
// over taps, the source pixel m * step + tap. Forward has one correlation with step = stride. Backward-data
// has one for every phase of the stride: input pixels with equal (i + padding) mod stride see the same taps
// of dy, with step 1. The kernels need no bounds: either the output is cut into regions whose taps are all
// inside the source, or each image's source is copied into a scratch with a border of zeros. Taps that are
// neighbours in memory are merged into one run of channels.
#pragma once

#include <vector>

#include "core/op_options.h"
#include "core/shape.h"

namespace ds::cpu {

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

/// Output pixels [begin, end) of an axis.
struct Segment {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

/// A rectangle of output pixels that see the same taps inside the source.
struct Region {
  Segment rows;
  Segment columns;
  std::vector<size_t> taps;  // of the correlation
};

/// All output pixels, cut where a tap enters or leaves the source.
std::vector<Region> regions_of(const Correlation& correlation, Size2d source);

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

Window window_of(const Correlation& correlation, int64_t channels);
/// The part of the window that output rows [begin, end) read; offsets of taps are those of the whole.
Window band_of(const Window& whole, const Correlation& correlation, int64_t begin, int64_t end);

/// Copies channels [from, from + window.channels) of one image [height, width, pitch] into the window's
/// scratch.
void fill_window(const Window& window, const float* image, Size2d size, int64_t pitch, int64_t from,
                 float* scratch);

/// How many taps of a row are neighbours, where they all are in runs of that length; else 1.
size_t run_length(const std::vector<Tap>& taps);

/// Taps whose pixels are neighbours in the scratch, as one run of channels: offsets from the window's first
/// pixel.
struct TapRuns {
  std::vector<int64_t> offsets;
  int64_t channels = 0;  // of each run
};

TapRuns merge_taps(const std::vector<Tap>& taps, const Window& window);

/// Output channels cut into panels of one or two vectors.
struct Panel {
  int64_t first = 0;
  int64_t outputs = 0;
  int vectors = 1;
};

std::vector<Panel> panels_of(int64_t outputs, int lanes);
/// Output channels of all panels, the empty lanes of the last one included.
int64_t packed_width(const std::vector<Panel>& panels, int lanes);

/// The correlation of a forward pass, and those of a backward pass (phases without a tap or a pixel left
/// out).
Correlation forward_correlation(const Shape& w, const Shape& y, const Conv2dOptions& options);
std::vector<Correlation> backward_correlations(const Shape& dx, const Shape& w, const Conv2dOptions& options);
/// Pixels of one image that the phases write: the others are those that no window sees.
int64_t pixels_covered(const std::vector<Correlation>& phases);

}  // namespace ds::cpu
