#include "core/cpu/conv2d/weight_products.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace ds::cpu {
namespace {

constexpr int64_t kCopied = 8;  // floats at a time: a copy of a fixed length needs no call

void copy_padded(const float* source, int64_t count, int64_t width, float* target) {
  int64_t i = 0;
  for (; i + kCopied <= count; i += kCopied) std::memcpy(target + i, source + i, kCopied * sizeof(float));
  for (; i < count; ++i) target[i] = source[i];
  for (; i < width; ++i) target[i] = 0.0F;
}

}  // namespace

void pad_rows(const float* source, int64_t pitch, int64_t rows, int64_t count, int64_t width, float* target) {
  for (int64_t row = 0; row < rows; ++row)
    copy_padded(source + row * pitch, count, width, target + row * width);
}

void pair_rows(const DirectKernels& kernels, int64_t rows, int64_t width, float* packed) {
  static constexpr std::array<float, 2 * kPackedChannels> kZeros{};
  for (int64_t row = 0; row < rows; row += 2) {
    const float* odd = row + 1 < rows ? packed + (row + 1) * width : kZeros.data();
    kernels.pair_rows(packed + row * width, odd, width, packed + row / 2 * width);
  }
}

void pack_gradients(const DirectKernels& kernels, const float* dy, int64_t pitch, int64_t rows,
                    const std::vector<Panel>& panels, float* packed) {
  for (int64_t row = 0; row < rows; ++row) {  // in the order of the tensor, which comes from far away
    float* of_panel = packed;
    for (const Panel& panel : panels) {
      const int64_t width = int64_t{panel.vectors} * kernels.lanes;
      copy_padded(dy + row * pitch + panel.first, panel.outputs, width, of_panel + row * width);
      of_panel += rows * width;
    }
  }
  if (kernels.values == 1) return;
  for (const Panel& panel : panels) {
    const int64_t width = int64_t{panel.vectors} * kernels.lanes;
    pair_rows(kernels, rows, width, packed);
    packed += rows * width;
  }
}

void pack_half_gradients(const DirectKernels& kernels, const uint16_t* dy, int64_t pitch, int64_t rows,
                         const std::vector<Panel>& panels, float* packed) {
  static constexpr std::array<uint16_t, 2 * kPackedChannels> kZeros{};
  for (int64_t row = 0; row < rows; row += 2) {
    float* of_panel = packed;
    for (const Panel& panel : panels) {
      const int64_t width = int64_t{panel.vectors} * kernels.lanes;
      const uint16_t* even = dy + row * pitch + panel.first;
      float* target = of_panel + row / 2 * width;
      kernels.pair_half_rows(even, row + 1 < rows ? even + pitch : kZeros.data(), panel.outputs, target);
      std::fill(target + panel.outputs, target + width, 0.0F);
      of_panel += rows * width;
    }
  }
}

int64_t channels_of_tile(const DirectKernels& kernels, const std::vector<Panel>& panels) {
  return kernels.max_channels[panels.front().vectors - 1];
}

void add_products(const DirectKernels& kernels, const PackedRows& packed, int64_t channels,
                  const std::vector<Panel>& panels, float* dw, int64_t dw_pitch) {
  DirectWeightTile tile{.x = packed.x,
                        .x_row = 0,
                        .x_pitch = packed.x_pitch,
                        .dy = packed.dy,
                        .dy_row = 0,
                        .dy_pitch = 0,
                        .rows = 1,
                        .pixels = words_of(kernels, packed.rows),
                        .dw = dw,
                        .dw_pitch = dw_pitch};
  for (const Panel& panel : panels) {
    tile.dy_pitch = int64_t{panel.vectors} * kernels.lanes;
    kernels.weight_tile[panel.vectors - 1][channels - 1](tile);
    tile.dy += packed.rows * tile.dy_pitch;
    tile.dw += tile.dy_pitch;
  }
}

}  // namespace ds::cpu
