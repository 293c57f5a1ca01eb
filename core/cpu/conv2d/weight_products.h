// Products of weight gradients: dw[c][o] += sum over rows r of x[r][c] dy[r][o], a row being an output pixel
// or a tile. Both sides are packed before, so that the kernels read them in order: as they lie in a tensor of
// many channels, their rows are a multiple of the page or of the cache's sets apart and push one another out.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/kernels/direct.h"

namespace ds::cpu {

/// Floats from a packed row of x to the next: those of the widest tile.
inline constexpr int64_t kPackedChannels = DirectKernels::kMaxChannels;

/// Copies `channels` values; more of them, up to kPackedChannels, where `end` of the source allows: a copy of
/// a fixed length is one load and one store.
inline void copy_channels_of_row(const float* source, const float* end, int64_t channels, float* target) {
  if (end - source >= kPackedChannels) {
    std::memcpy(target, source, kPackedChannels * sizeof(float));
  } else {
    std::copy_n(source, channels, target);
  }
}

/// Rows of `count` values, `pitch` apart, as rows of `width` with zeros at their end.
void pad_rows(const float* source, int64_t pitch, int64_t rows, int64_t count, int64_t width, float* target);

/// Rows of dy, [outputs] each, as [panel][row, or pair of rows][lanes of the panel] with zeros beyond the
/// last output. Panels are `rows` rows apart in any case.
void pack_gradients(const DirectKernels& kernels, const float* dy, int64_t pitch, int64_t rows,
                    const std::vector<Panel>& panels, float* packed);

/// The same from rows of bf16 values, `pitch` of them apart.
void pack_half_gradients(const DirectKernels& kernels, const uint16_t* dy, int64_t pitch, int64_t rows,
                         const std::vector<Panel>& panels, float* packed);

/// Words that hold so many values.
constexpr int64_t words_of(const DirectKernels& kernels, int64_t values) {
  return (values + kernels.values - 1) / kernels.values;
}
/// Packed rows two by two as pairs of bf16 values, in place: [rows][width] becomes [words_of(rows)][width].
void pair_rows(const DirectKernels& kernels, int64_t rows, int64_t width, float* packed);

/// Channels of x that the products of such panels take at a time.
int64_t channels_of_tile(const DirectKernels& kernels, const std::vector<Panel>& panels);

/// Rows whose products are summed.
struct PackedRows {
  const float* x;  // a tile of channels of each row
  int64_t x_pitch;
  const float* dy;  // from pack_gradients()
  int64_t rows;     // before they were paired
};

/// Adds the products of one tile of channels and all panels to dw [channels][dw_pitch].
void add_products(const DirectKernels& kernels, const PackedRows& packed, int64_t channels,
                  const std::vector<Panel>& panels, float* dw, int64_t dw_pitch);

}  // namespace ds::cpu
