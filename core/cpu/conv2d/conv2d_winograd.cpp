#include "core/cpu/conv2d/conv2d_winograd.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kTaps = 9;
// Tiles that go through the three steps together: their transforms stay in the L2 cache where channels are
// few, and the filters' are read often enough from beyond it where channels are many.
constexpr int64_t kChunkBytes = 1 << 20;
constexpr int64_t kFewestTiles = 32;
constexpr int64_t kMostTiles = 96;
constexpr int64_t kFewestChunks = 4;
// Channels of filters that one chunk of the filter transform takes.
constexpr int64_t kFilterChannels = 16;
// Weight gradient: tiles transformed before their products are summed, and the part of them that stays in L1.
constexpr int64_t kGradientBytes = 128 << 10;
constexpr int64_t kGradientTiles = 64;
constexpr int64_t kTransformGrain = 8;

/// Floats from one of the 36 positions to the next. A transform touches all 36 at once: a cache line more
/// than a power of two keeps them out of each other's sets.
constexpr int64_t padded_pitch(int64_t rows, int64_t width) { return rows * width + 16; }

/// Images cut into tiles of 4x4 outputs; tile (0, 0) of an image reads its inputs from (-padding, -padding).
struct Tiling {
  Size2d input;
  Size2d output;
  Size2d padding;
  int64_t batch = 0;

  Size2d tiles() const {
    return {chunk_count(output.height, kWinogradOutput), chunk_count(output.width, kWinogradOutput)};
  }
  int64_t count() const { return batch * tiles().height * tiles().width; }
};

/// Pixels of a square of one image, row by row; `outside` stands for those that the image does not have.
template <int kSide, class T>
std::array<T*, kSide * kSide> square(T* image, Size2d size, int64_t channels, Size2d corner, T* outside) {
  std::array<T*, kSide * kSide> pixels;
  for (int64_t i = 0; i < kSide; ++i) {
    const int64_t row = corner.height + i;
    for (int64_t j = 0; j < kSide; ++j) {
      const int64_t column = corner.width + j;
      const bool inside = row >= 0 && row < size.height && column >= 0 && column < size.width;
      pixels[static_cast<size_t>(i * kSide + j)] =
          inside ? image + (row * size.width + column) * channels : outside;
    }
  }
  return pixels;
}

/// Where a tile lies: its image and the corner of its outputs.
struct TilePlace {
  int64_t image;
  Size2d corner;
};
TilePlace place_of(const Tiling& tiling, int64_t tile) {
  const Size2d tiles = tiling.tiles();
  const int64_t within = tile % (tiles.height * tiles.width);
  return {.image = tile / (tiles.height * tiles.width),
          .corner = {within / tiles.width * kWinogradOutput, within % tiles.width * kWinogradOutput}};
}

std::array<const float*, kWinogradPositions> input_pixels(const Tiling& tiling, const float* x,
                                                          int64_t channels, int64_t tile,
                                                          const float* zeros) {
  const TilePlace place = place_of(tiling, tile);
  const float* image = x + place.image * tiling.input.height * tiling.input.width * channels;
  const Size2d corner{place.corner.height - tiling.padding.height, place.corner.width - tiling.padding.width};
  return square<kWinogradInput>(image, tiling.input, channels, corner, zeros);
}

template <class T>
std::array<T*, kWinogradPixels> output_pixels(const Tiling& tiling, T* y, int64_t channels, int64_t tile,
                                              T* outside) {
  const TilePlace place = place_of(tiling, tile);
  T* image = y + place.image * tiling.output.height * tiling.output.width * channels;
  return square<kWinogradOutput>(image, tiling.output, channels, place.corner, outside);
}

/// Transformed filters as [panel][position][channel][lanes of the panel].
/// weight(tap, channel, output) reads the filters.
template <class Weight>
Tensor transform_filters(int64_t channels, const std::vector<Panel>& panels, const Weight& weight) {
  const int lanes = direct_kernels().lanes;
  const WinogradKernels& kernels = winograd_kernels();
  Tensor result = Tensor::empty({kWinogradPositions * channels * packed_width(panels, lanes)});
  float* packed = result.data<float>();
  const int64_t blocks = chunk_count(channels, kFilterChannels);
  parallel_chunks(static_cast<int64_t>(panels.size()) * blocks, [&](int64_t chunk) {
    const Panel& panel = panels[static_cast<size_t>(chunk / blocks)];
    const int64_t width = int64_t{panel.vectors} * lanes;
    float* target = packed + kWinogradPositions * channels * panel.first;
    std::vector<float> filters(static_cast<size_t>(kTaps * width));  // zero beyond the last output
    const int64_t begin = chunk % blocks * kFilterChannels;
    for (int64_t c = begin; c < std::min(channels, begin + kFilterChannels); ++c) {
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        float* row = filters.data() + tap * width;
        for (int64_t o = 0; o < panel.outputs; ++o) row[o] = weight(tap, c, panel.first + o);
      }
      kernels.filter(filters.data(), width, target + c * width, channels * width);
    }
  });
  return result;
}

/// m[position][tile][output] = v[position][tile][channel] u[position][channel][output] for some tiles.
struct Products {
  int64_t tiles;
  int64_t channels;
  int64_t outputs;
  const float* v;
  const float* u;  // as transform_filters() packs it
  float* m;

  int64_t v_pitch() const { return padded_pitch(tiles, channels); }
  int64_t m_pitch() const { return padded_pitch(tiles, outputs); }
};

void multiply(const Products& p, const std::vector<Panel>& panels) {
  const DirectKernels& kernels = direct_kernels();
  constexpr int64_t kNoOffset = 0;
  for (int64_t s = 0; s < kWinogradPositions; ++s) {
    const float* v = p.v + s * p.v_pitch();
    float* m = p.m + s * p.m_pitch();
    for (const Panel& panel : panels) {
      const int64_t width = int64_t{panel.vectors} * kernels.lanes;
      DirectTile tile{.x = nullptr,
                      .x_pitch = p.channels,
                      .tap_offsets = &kNoOffset,
                      .taps = 1,
                      .channels = p.channels,
                      .w = p.u + (kWinogradPositions * panel.first + s * width) * p.channels,
                      .bias = nullptr,
                      .y = nullptr,
                      .y_pitch = p.outputs,
                      .outputs = panel.outputs};
      const int64_t groups = chunk_count(p.tiles, kernels.max_pixels[panel.vectors - 1]);
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t begin = g * p.tiles / groups;
        const int64_t end = (g + 1) * p.tiles / groups;
        tile.x = v + begin * p.channels;
        tile.y = m + begin * p.outputs + panel.first;
        kernels.tile[panel.vectors - 1][end - begin - 1](tile);
      }
    }
  }
}

int64_t tiles_per_chunk(int64_t tiles, int64_t channels, int64_t outputs) {
  const int64_t bytes = kWinogradPositions * (channels + outputs) * int64_t{sizeof(float)};
  const int64_t fit = std::clamp(kChunkBytes / bytes, kFewestTiles, kMostTiles);
  return std::max<int64_t>(1, std::min(fit, chunk_count(tiles, kFewestChunks)));
}

/// Forward, and backward-data with the filters turned round.
void correlate(const Tiling& tiling, const Tensor& source, const Tensor& filters, const float* bias,
               const std::vector<Panel>& panels, Tensor& target) {
  const WinogradKernels& kernels = winograd_kernels();
  const int64_t channels = source.size(3);
  const int64_t outputs = target.size(3);
  const float* x = source.data<float>();
  float* y = target.data<float>();
  const Tensor zeros = Tensor::zeros({channels});
  const int64_t grain = tiles_per_chunk(tiling.count(), channels, outputs);
  parallel_for(tiling.count(), grain, [&](int64_t begin, int64_t end) {
    Products products{.tiles = end - begin,
                      .channels = channels,
                      .outputs = outputs,
                      .v = nullptr,
                      .u = filters.data<float>(),
                      .m = nullptr};
    const int64_t v_size = kWinogradPositions * products.v_pitch();
    const int64_t m_size = kWinogradPositions * products.m_pitch();
    Tensor memory = Tensor::empty({v_size + m_size + outputs});
    float* v = memory.data<float>();
    products.v = v;
    products.m = v + v_size;
    float* unread = products.m + m_size;
    for (int64_t t = 0; t < products.tiles; ++t) {
      const auto pixels = input_pixels(tiling, x, channels, begin + t, zeros.data<float>());
      kernels.input(pixels.data(), channels, v + t * channels, products.v_pitch());
    }
    multiply(products, panels);
    for (int64_t t = 0; t < products.tiles; ++t) {
      const auto pixels = output_pixels(tiling, y, outputs, begin + t, unread);
      kernels.output(products.m + t * outputs, products.m_pitch(), bias, outputs, pixels.data());
    }
  });
}

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
      const int64_t groups = chunk_count(channels, kernels.max_channels[panel.vectors - 1]);
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t begin = g * channels / groups;
        const int64_t end = (g + 1) * channels / groups;
        tile.x = v + first * channels + begin;
        tile.dw = du + begin * sums.width + offset;
        kernels.weight_tile[panel.vectors - 1][end - begin - 1](tile);
      }
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

Size2d image_size(const Tensor& x) { return {x.size(1), x.size(2)}; }

}  // namespace

void conv2d_winograd(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                     Tensor& y) {
  const int64_t channels = w.size(3);
  const std::vector<Panel> panels = panels_of(w.size(0), direct_kernels().lanes);
  const float* filters = w.data<float>();
  const Tensor transformed = transform_filters(channels, panels, [&](int64_t tap, int64_t c, int64_t o) {
    return filters[(o * kTaps + tap) * channels + c];
  });
  correlate({.input = image_size(x), .output = image_size(y), .padding = options.padding, .batch = x.size(0)},
            x, transformed, bias.defined() ? bias.data<float>() : nullptr, panels, y);
}

void conv2d_backward_data_winograd(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                   Tensor& dx) {
  const int64_t channels = w.size(3);
  const std::vector<Panel> panels = panels_of(channels, direct_kernels().lanes);
  const float* filters = w.data<float>();
  const Tensor transformed = transform_filters(w.size(0), panels, [&](int64_t tap, int64_t o, int64_t c) {
    return filters[(o * kTaps + kTaps - 1 - tap) * channels + c];
  });
  const Size2d padding{2 - options.padding.height, 2 - options.padding.width};
  correlate({.input = image_size(dy), .output = image_size(dx), .padding = padding, .batch = dy.size(0)}, dy,
            transformed, nullptr, panels, dx);
}

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
