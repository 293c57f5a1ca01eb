// The weight gradient of a Winograd convolution: products of transformed inputs and transformed gradients,
// summed over tiles for each of the 36 positions.
#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/conv2d_winograd.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/conv2d/winograd_tiles.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"

namespace ds::cpu {
namespace {

// Tiles transformed before their products are summed, and the part of them that stays in L1.
constexpr int64_t kGradientBytes = 128 << 10;
constexpr int64_t kGradientTiles = 64;
constexpr int64_t kTransformGrain = 8;

/// Sums of the products of transformed inputs and gradients, as [position][channel][padded output].
struct GradientSums {
  int64_t channels;
  int64_t width;  // padded outputs
  std::vector<Panel> panels;
  float* du;

  int64_t pitch() const { return padded_pitch(channels, width); }
};

/// Adds a block of tiles to one position.
void add_products(const GradientSums& sums, int64_t position, int64_t tiles, const float* v, const float* z) {
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = sums.channels;
  DirectWeightTile tile{.x = nullptr,
                        .x_row = 0,
                        .x_pitch = channels,
                        .dy = nullptr,
                        .dy_row = 0,
                        .dy_pitch = sums.width,
                        .rows = 1,
                        .pixels = 0,
                        .dw = nullptr,
                        .dw_pitch = sums.width};
  float* du = sums.du + position * sums.pitch();
  for (int64_t first = 0; first < tiles; first += kGradientTiles) {
    tile.pixels = std::min(kGradientTiles, tiles - first);
    int64_t offset = 0;
    for (const Panel& panel : sums.panels) {
      tile.dy = z + first * sums.width + offset;
      for_even_pieces(channels, kernels.max_channels[panel.vectors - 1], [&](int64_t begin, int64_t count) {
        tile.x = v + first * channels + begin;
        tile.dw = du + begin * sums.width + offset;
        kernels.weight_tile[panel.vectors - 1][count - 1](tile);
      });
      offset += int64_t{panel.vectors} * kernels.lanes;
    }
  }
}

/// dw[o][tap][c] from the sums.
void write_gradient(const GradientSums& sums, Tensor& dw) {
  const WinogradKernels& kernels = winograd_kernels();
  float* target = dw.data<float>();
  const int64_t outputs = dw.size(0);
  parallel_for(sums.channels, kTransformGrain, [&](int64_t begin, int64_t end) {
    std::vector<float> filters(static_cast<size_t>(kTaps * sums.width));
    for (int64_t c = begin; c < end; ++c) {
      kernels.filter_gradient(sums.du + c * sums.width, sums.pitch(), sums.width, filters.data());
      for (int64_t o = 0; o < outputs; ++o) {
        for (int64_t tap = 0; tap < kTaps; ++tap) {
          target[(o * kTaps + tap) * sums.channels + c] = filters[static_cast<size_t>(tap * sums.width + o)];
        }
      }
    }
  });
}

}  // namespace

void conv2d_backward_weight_winograd(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                     Tensor& dw) {
  const WinogradKernels& kernels = winograd_kernels();
  const int64_t channels = dw.size(3);
  const int64_t outputs = dw.size(0);
  const int lanes = direct_kernels().lanes;
  const Tiling tiling{
      .input = image_size(x), .output = image_size(dy), .padding = options.padding, .batch = x.size(0)};
  GradientSums sums{.channels = channels, .width = 0, .panels = panels_of(outputs, lanes), .du = nullptr};
  sums.width = packed_width(sums.panels, lanes);
  Tensor du = Tensor::zeros({kWinogradPositions * sums.pitch()});
  sums.du = du.data<float>();
  const int64_t block =
      std::clamp(kGradientBytes / (channels * int64_t{sizeof(float)}), int64_t{128}, int64_t{512});
  const int64_t most = std::min(block, tiling.count());
  const int64_t v_pitch = padded_pitch(most, channels);
  const int64_t z_pitch = padded_pitch(most, sums.width);
  Tensor v = Tensor::empty({kWinogradPositions * v_pitch});
  Tensor z = Tensor::zeros({kWinogradPositions * z_pitch});  // the padded outputs stay zero
  const Tensor zeros = Tensor::zeros({std::max(channels, outputs)});
  for (int64_t first = 0; first < tiling.count(); first += block) {
    const int64_t tiles = std::min(block, tiling.count() - first);
    parallel_for(tiles, kTransformGrain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const auto inputs = input_pixels(tiling, x.data<float>(), channels, first + t, zeros.data<float>());
        kernels.input(inputs.data(), channels, v.data<float>() + t * channels, v_pitch);
        const auto gradients =
            output_pixels<const float>(tiling, dy.data<float>(), outputs, first + t, zeros.data<float>());
        kernels.gradient(gradients.data(), outputs, z.data<float>() + t * sums.width, z_pitch);
      }
    });
    parallel_chunks(kWinogradPositions, [&](int64_t s) {
      add_products(sums, s, tiles, v.data<float>() + s * v_pitch, z.data<float>() + s * z_pitch);
    });
  }
  write_gradient(sums, dw);
}

}  // namespace ds::cpu
