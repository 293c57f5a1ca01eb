// Correlations computed with the micro-kernels of core/cpu/kernels/direct.h: what the direct convolutions,
// forward and backward-data, are made of.
#pragma once

#include <vector>

#include "core/backend.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/conv2d/epilogue.h"
#include "core/cpu/streaming.h"

namespace ds::cpu {

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
  int64_t target_floats;  // of the whole tensor

  int64_t source_image() const { return source_size.height * source_size.width * source_pitch; }
  int64_t target_image() const { return target_size.height * target_size.width * target_pitch; }
};

/// Filters of one group, and what happens to their outputs.
struct Filters {
  Precision precision;  // for which they are packed
  const std::vector<Panel>& panels;
  const float* packed;
  const float* bias;
  Conv2dEpilogue epilogue;
};

/// Whether tiles write past the caches: what follows would read the outputs again.
inline bool streams_outputs(const Images& images, const Filters& filters) {
  const Panel& last = filters.panels.back();
  return filters.epilogue.empty() &&
         worth_streaming(images.target + images.target_from, last.first + last.outputs, images.target_pitch,
                         images.target_floats);
}

/// One correlation of `batch` images with one group of filters, in parallel. Each output is a sum over taps,
/// then channels, whichever way it takes.
void correlate(const Correlation& correlation, const Images& images, const Filters& filters, int64_t batch);

/// The same from the images as they are, f32.
void correlate_in_place(const Correlation& correlation, const Images& images, const Filters& filters,
                        int64_t batch);

/// The same where outputs fill the target (spacing 1): their inputs are gathered to rows of a matrix, or
/// taken where they are in a 1x1 convolution with stride 1. All tiles are full then, however narrow the
/// images.
void correlate_rows(const Correlation& correlation, const Images& images, const Filters& filters,
                    int64_t batch);

/// The same for many small images, a tile being one output pixel of several images.
void correlate_positions(const Correlation& correlation, const Images& images, const Filters& filters,
                         int64_t batch);

}  // namespace ds::cpu
