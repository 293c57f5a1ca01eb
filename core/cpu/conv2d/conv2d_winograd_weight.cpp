// The weight gradient of a Winograd convolution: products of transformed inputs and transformed gradients,
// summed over tiles for each of the 36 positions.
#include <algorithm>
#include <array>
#include <vector>

#include "core/cpu/conv2d/conv2d_winograd.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/conv2d/weight_products.h"
#include "core/cpu/conv2d/winograd_tiles.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"

namespace ds::cpu {
namespace {

using Tile = WinogradTile4;

// Sums of up to this size are made by each chunk of tiles on its own: nothing passes from one core to
// another.
constexpr int64_t kOwnBytes = 1 << 20;
constexpr int64_t kOwnChunks = 16;
constexpr int64_t kOwnTiles = 96;
constexpr int64_t kAddGrain = 4096;
// Tiles transformed before their products are summed, and the part of them that stays in L1.
constexpr int64_t kBlockBytes = 32 << 10;
constexpr int64_t kGradientTiles = 128;
constexpr int64_t kTransformGrain = 8;
constexpr int64_t kWriteChannels = 16;
// Rows that lie closer than that, in floats, are read where they are.
constexpr int64_t kClose = 128;

/// Sums of the products of transformed inputs and gradients, as [position][channel][padded output].
struct GradientSums {
  int64_t channels;
  int64_t outputs;
  int64_t width;  // padded outputs
  std::vector<Panel> panels;
  Precision precision;

  const DirectKernels& kernels() const { return direct_kernels(precision); }
  int64_t pitch() const { return padded_pitch(channels, width); }
  int64_t size() const { return Tile::kPositions * pitch(); }
};

/// A block of tiles: transformed inputs [position][tile][channel] and gradients [position][tile][output],
/// floats or bf16 values.
class TileBlock {
 public:
  TileBlock(const GradientSums& sums, int64_t most)
      : sums_(sums),
        v_row_(words_of(sums.kernels(), sums.channels)),
        z_row_(words_of(sums.kernels(), sums.outputs)),
        v_pitch_(padded_pitch(most, v_row_)),
        z_pitch_(padded_pitch(most, z_row_)),
        memory_(Tensor::empty({Tile::kPositions * (v_pitch_ + z_pitch_)})),
        v_(memory_.data<float>()),
        z_(v_ + Tile::kPositions * v_pitch_) {}

  /// Tiles [first + begin, first + end) of all images become tiles [begin, end) of the block.
  void transform(const Tiling<Tile>& tiling, const Tensor& x, const Tensor& dy, const float* zeros,
                 int64_t first, int64_t begin, int64_t end) const {
    const WinogradKernels& kernels = winograd_kernels(sums_.precision);
    for_tiles<Tile>(
        begin, end, sums_.channels,
        [&](int64_t t) { return input_pixels(tiling, x.data<float>(), sums_.channels, first + t, zeros); },
        [&](int64_t t, const auto& pixels) {
          forward_of<Tile>(kernels).input(pixels.data(), sums_.channels, v_ + t * v_row_, v_pitch_);
        });
    for_tiles<Tile>(
        begin, end, sums_.outputs,
        [&](int64_t t) {
          return output_pixels<const float>(tiling, dy.data<float>(), sums_.outputs, first + t, zeros);
        },
        [&](int64_t t, const auto& pixels) {
          kernels.gradient(pixels.data(), sums_.outputs, z_ + t * z_row_, z_pitch_);
        });
  }

  /// Adds the products of the first `tiles` tiles at one position.
  void add_to(float* du, int64_t position, int64_t tiles) const {
    const int64_t most = std::min(tiles, kGradientTiles);
    Tensor memory = Tensor::empty({most * (sums_.width + kPackedChannels)});
    float* gradients = memory.data<float>();
    float* inputs = gradients + most * sums_.width;
    for (int64_t first = 0; first < tiles; first += kGradientTiles) {
      const int64_t rows = std::min(kGradientTiles, tiles - first);
      const float* v = v_ + position * v_pitch_ + first * v_row_;
      pack_z(z_ + position * z_pitch_ + first * z_row_, rows, gradients);
      for_even_pieces(
          sums_.channels, channels_of_tile(sums_.kernels(), sums_.panels), [&](int64_t begin, int64_t count) {
            PackedRows packed{.x = inputs, .x_pitch = kPackedChannels, .dy = gradients, .rows = rows};
            if (sums_.kernels().values == 1 && v_row_ <= kClose) {
              packed.x = v + begin;
              packed.x_pitch = v_row_;
            } else {
              pack_v(v, rows, begin, count, inputs);
            }
            add_products(sums_.kernels(), packed, count, sums_.panels,
                         du + position * sums_.pitch() + begin * sums_.width, sums_.width);
          });
    }
  }

 private:
  void pack_z(const float* z, int64_t rows, float* packed) const {
    if (sums_.kernels().values == 1) {
      pack_gradients(sums_.kernels(), z, z_row_, rows, sums_.panels, packed);
    } else {
      pack_half_gradients(sums_.kernels(), reinterpret_cast<const uint16_t*>(z), 2 * z_row_, rows,
                          sums_.panels, packed);
    }
  }

  /// A tile of channels: [row, or pair of rows][kPackedChannels].
  void pack_v(const float* v, int64_t rows, int64_t begin, int64_t count, float* packed) const {
    if (sums_.kernels().values == 1) {
      for (int64_t row = 0; row < rows; ++row, packed += kPackedChannels)
        copy_channels_of_row(v + row * v_row_ + begin, z_, count, packed);
      return;
    }
    static constexpr std::array<uint16_t, kPackedChannels> kZeros{};
    const auto* halves = reinterpret_cast<const uint16_t*>(v) + begin;
    const auto* end = reinterpret_cast<const uint16_t*>(z_);
    for (int64_t row = 0; row < rows; row += 2, packed += kPackedChannels) {
      const uint16_t* even = halves + row * 2 * v_row_;
      const uint16_t* odd = row + 1 < rows ? even + 2 * v_row_ : kZeros.data();
      const bool whole =
          end - even >= 2 * v_row_ + kPackedChannels;  // more than the tile may be read, at a fixed length
      sums_.kernels().pair_half_rows(even, odd, whole ? kPackedChannels : count, packed);
    }
  }

  const GradientSums& sums_;
  int64_t v_row_;  // floats of a tile
  int64_t z_row_;
  int64_t v_pitch_;  // floats of a position
  int64_t z_pitch_;
  Tensor memory_;
  float* v_;
  float* z_;
};

/// Every chunk of tiles is transformed and summed on its own; the sums are added in order.
Tensor sum_apart(const GradientSums& sums, const Tiling<Tile>& tiling, const Tensor& x, const Tensor& dy,
                 const float* zeros) {
  const int64_t grain = std::max(kOwnTiles, chunk_count(tiling.count(), kOwnChunks));
  const int64_t chunks = chunk_count(tiling.count(), grain);
  Tensor partials = Tensor::empty({chunks, sums.size()});
  float* du = partials.data<float>();
  parallel_for(tiling.count(), grain, [&](int64_t begin, int64_t end) {
    float* partial = du + begin / grain * sums.size();
    std::fill_n(partial, sums.size(), 0.0F);
    const TileBlock block(sums, kOwnTiles);
    for (int64_t first = begin; first < end; first += kOwnTiles) {
      const int64_t tiles = std::min(kOwnTiles, end - first);
      block.transform(tiling, x, dy, zeros, first, 0, tiles);
      for (int64_t s = 0; s < Tile::kPositions; ++s) block.add_to(partial, s, tiles);
    }
  });
  parallel_for(sums.size(), kAddGrain, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      const float* more = du + chunk * sums.size();
      for (int64_t i = begin; i < end; ++i) du[i] += more[i];
    }
  });
  return partials;
}

/// Blocks of tiles, one after the other: threads take positions of one block, whose products need no partial
/// sums, and tiles of the next block to transform, so that they meet once a block.
Tensor sum_together(const GradientSums& sums, const Tiling<Tile>& tiling, const Tensor& x, const Tensor& dy,
                    const float* zeros) {
  Tensor total = Tensor::zeros({sums.size()});
  const int64_t fit =
      std::clamp(kBlockBytes / (sums.channels * int64_t{sizeof(float)}), kGradientTiles, 4 * kGradientTiles);
  const int64_t most = std::min(fit, tiling.count());
  const int64_t blocks = chunk_count(tiling.count(), most);
  const std::array<TileBlock, 2> memory = {TileBlock(sums, most), TileBlock(sums, most)};
  const auto block_of = [&](int64_t i) -> const TileBlock& { return memory[static_cast<size_t>(i % 2)]; };
  const auto tiles_of = [&](int64_t i) { return std::clamp<int64_t>(tiling.count() - i * most, 0, most); };
  for (int64_t i = 0; i <= blocks; ++i) {
    const int64_t products = i == 0 ? 0 : Tile::kPositions;
    parallel_chunks(products + chunk_count(tiles_of(i), kTransformGrain), [&](int64_t chunk) {
      if (chunk < products) {
        block_of(i - 1).add_to(total.data<float>(), chunk, tiles_of(i - 1));
      } else {
        const int64_t begin = (chunk - products) * kTransformGrain;
        block_of(i).transform(tiling, x, dy, zeros, i * most, begin,
                              std::min(begin + kTransformGrain, tiles_of(i)));
      }
    });
  }
  return total;
}

/// dw[o][tap][c] from the sums, some channels at a time: single ones would be written a cache line each.
void write_gradient(const GradientSums& sums, const float* du, Tensor& dw) {
  const WinogradKernels& kernels = winograd_kernels();
  float* target = dw.data<float>();
  parallel_for(sums.channels, kWriteChannels, [&](int64_t begin, int64_t end) {
    Tensor filters = Tensor::empty({end - begin, kTaps, sums.width});
    const float* filter = filters.data<float>();
    for (int64_t c = begin; c < end; ++c) {
      kernels.filter_gradient(du + c * sums.width, sums.pitch(), sums.width,
                              filters.data<float>() + (c - begin) * kTaps * sums.width);
    }
    for (int64_t o = 0; o < sums.outputs; ++o) {
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        float* row = target + (o * kTaps + tap) * sums.channels;
        for (int64_t c = begin; c < end; ++c) row[c] = filter[((c - begin) * kTaps + tap) * sums.width + o];
      }
    }
  });
}

}  // namespace

void conv2d_backward_weight_winograd(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                     Precision precision, Tensor& dw) {
  const DirectKernels& kernels = direct_kernels(precision);
  const Tiling<Tile> tiling{
      .input = image_size(x), .output = image_size(dy), .padding = options.padding, .batch = x.size(0)};
  GradientSums sums{.channels = dw.size(3),
                    .outputs = dw.size(0),
                    .width = 0,
                    .panels = panels_of(dw.size(0), kernels.lanes),
                    .precision = precision};
  sums.width = packed_width(sums.panels, kernels.lanes);
  const Tensor zeros = Tensor::zeros({std::max(sums.channels, sums.outputs)});
  const bool apart = sums.size() * int64_t{sizeof(float)} <= kOwnBytes;
  const Tensor du = (apart ? sum_apart : sum_together)(sums, tiling, x, dy, zeros.data<float>());
  write_gradient(sums, du.data<float>(), dw);
}

}  // namespace ds::cpu
