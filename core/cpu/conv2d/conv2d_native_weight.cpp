#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/conv2d/weight_products.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"
#include "core/cpu/prefetch.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kMaxWeightPartials = 16;   // partial sums of a weight gradient, added in order
constexpr int64_t kPartialBytes = 32 << 20;  // and the memory that more than two of them may take
// Pixels of a window that a weight tile sweeps before the next tile does: x and dy stay in the L1 cache.
constexpr int64_t kWindowPixels = 128;
// Floats between neighbouring pixels of a window: further apart, their lines push one another out of the
// cache.
constexpr int64_t kWindowPitch = 128;
// Gathered pixels that go together: the sums are read and written once for all of them, and their gradients
// stay in the L2 cache.
constexpr int64_t kFewestGathered = 64;
constexpr int64_t kMostGathered = 256;
constexpr int64_t kGatheredBytes = 256 << 10;
// Tiles of channels that are gathered together, so that x is read in order.
constexpr int64_t kGatheredTiles = 8;
// Rows of the sums that are turned round together: single ones would be written a cache line each.
constexpr int64_t kWriteRows = 16;

/// The weight gradient of one group, as [position][channel][padded output].
struct WeightGradient {
  const Tensor& dy;
  const Tensor& x;
  const DirectKernels& kernels;
  Correlation correlation;
  int64_t channels;
  int64_t first_channel;
  int64_t outputs;
  int64_t first_output;
  std::vector<Panel> panels;
  int64_t width;  // padded outputs

  Size2d source() const { return {x.size(1), x.size(2)}; }
  int64_t pixels() const { return dy.size(1) * dy.size(2); }
  int64_t rows() const { return static_cast<int64_t>(correlation.taps.size()) * channels; }
  int64_t size() const { return rows() * width; }
  const float* x_image(int64_t n) const { return x.data<float>() + n * x.size(1) * x.size(2) * x.size(3); }
  const float* dy_image(int64_t n) const {
    return dy.data<float>() + n * pixels() * dy.size(3) + first_output;
  }
  /// Whether each output pixel reads the pixel of x at its own place, and no other.
  bool pointwise() const {
    return correlation.taps.size() == 1 && correlation.step == Size2d(1) && correlation.taps[0].row == 0 &&
           correlation.taps[0].column == 0 && correlation.count == source();
  }
};

/// Adds images to the sums, each from a window: a copy with a border of zeros.
class WindowSums {
 public:
  explicit WindowSums(const WeightGradient& gradient)
      : gradient_(gradient),
        kernels_(gradient.kernels),
        window_(window_of(gradient.correlation, gradient.channels)),
        runs_(merge_taps(gradient.correlation.taps, window_)) {}

  /// In f32, where an image has enough pixels, and they lie close together or what is gathered would be used
  /// only once.
  static bool suit(const WeightGradient& gradient) {
    if (gradient.kernels.values > 1) return false;
    const bool close = gradient.channels * gradient.correlation.step.width <= kWindowPitch;
    return gradient.pixels() >= kWindowPixels && (close || gradient.panels.size() == 1);
  }

  void add(int64_t begin, int64_t end, float* sums) const {
    const int64_t pixels = gradient_.pixels();
    Tensor memory = Tensor::empty({window_.size() + pixels * gradient_.width});
    float* window = memory.data<float>();
    float* dy = window + window_.size();
    // dy needs no padding: its rows are those of the panels.
    const bool whole = gradient_.outputs == gradient_.width && gradient_.width == gradient_.dy.size(3);
    for (int64_t n = begin; n < end; ++n) {
      fill_window(window_, gradient_.x_image(n), gradient_.source(), gradient_.x.size(3),
                  gradient_.first_channel, window);
      if (whole) {
        add_image(window, gradient_.dy_image(n), true, sums);
        continue;
      }
      pad_rows(gradient_.dy_image(n), gradient_.dy.size(3), pixels, gradient_.outputs, gradient_.width, dy);
      add_image(window, dy, false, sums);
    }
  }

 private:
  /// `far`: dy comes from memory, and what is next of it is asked for.
  void add_image(const float* window, const float* dy, bool far, float* sums) const {
    const Size2d count = gradient_.correlation.count;
    const Size2d step = gradient_.correlation.step;
    const int64_t block = std::max<int64_t>(1, kWindowPixels / count.width);
    DirectWeightTile tile{.x = nullptr,
                          .x_row = step.height * window_.width * window_.channels,
                          .x_pitch = step.width * window_.channels,
                          .dy = nullptr,
                          .dy_row = count.width * gradient_.width,
                          .dy_pitch = gradient_.width,
                          .rows = 0,
                          .pixels = count.width,
                          .dw = nullptr,
                          .dw_pitch = gradient_.width};
    for (int64_t row = 0; row < count.height; row += block) {
      tile.rows = std::min(block, count.height - row);
      const int64_t share = far ? chunk_count(tile.rows * tile.dy_row, tiles()) : 0;
      const float* next = dy + (row + tile.rows) * tile.dy_row;
      for (size_t run = 0; run < runs_.offsets.size(); ++run) {
        tile.x = window + row * tile.x_row + runs_.offsets[run];
        tile.dy = dy + row * tile.dy_row;
        tile.dw = sums + static_cast<int64_t>(run) * runs_.channels * gradient_.width;
        next = add_run(tile, next, share);
      }
    }
  }

  /// Weight tiles that a block of pixels goes through.
  int64_t tiles() const {
    int64_t of_run = 0;
    for (const Panel& panel : gradient_.panels)
      of_run += chunk_count(runs_.channels, kernels_.max_channels[panel.vectors - 1]);
    return of_run * static_cast<int64_t>(runs_.offsets.size());
  }

  /// All channels of a run of taps, and all outputs. Each tile asks for a share of the gradients that are
  /// next; returns what is left of them.
  const float* add_run(const DirectWeightTile& of_run, const float* next, int64_t share) const {
    DirectWeightTile tile = of_run;
    int64_t offset = 0;  // padded: panels start at multiples of the vector length
    for (const Panel& panel : gradient_.panels) {
      tile.dy = of_run.dy + offset;
      for_even_pieces(runs_.channels, kernels_.max_channels[panel.vectors - 1],
                      [&](int64_t begin, int64_t count) {
                        tile.x = of_run.x + begin;
                        tile.dw = of_run.dw + begin * gradient_.width + offset;
                        kernels_.weight_tile[panel.vectors - 1][count - 1](tile);
                        prefetch(next, share);
                        next += share;
                      });
      offset += int64_t{panel.vectors} * kernels_.lanes;
    }
    return next;
  }

  const WeightGradient& gradient_;
  const DirectKernels& kernels_;
  Window window_;
  TapRuns runs_;
};

/// Adds images to the sums, pixels of several images at a time: some tiles of channels of each tap's inputs
/// are gathered, and their products with all outputs are summed.
class GatheredSums {
 public:
  explicit GatheredSums(const WeightGradient& gradient) : gradient_(gradient) {
    for_even_pieces(gradient.channels, channels_of_tile(gradient.kernels, gradient.panels),
                    [&](int64_t begin, int64_t count) {
                      tiles_.push_back({begin, count});
                    });
  }

  void add(int64_t begin, int64_t end, float* sums) const {
    const int64_t width = gradient_.width;
    const int64_t rows = (end - begin) * gradient_.pixels();
    const int64_t block = std::min(
        rows, std::clamp(kGatheredBytes / (width * int64_t{sizeof(float)}), kFewestGathered, kMostGathered));
    Tensor memory = Tensor::empty({block * (width + kGatheredTiles * kPackedChannels)});
    float* dy = memory.data<float>();
    float* x = dy + block * width;
    for (int64_t first = 0; first < rows; first += block) {
      const int64_t count = std::min(block, rows - first);
      const std::vector<Stretch> stretches = stretches_of(begin, first, count);
      pack_gradients(gradient_.kernels, gradient_.dy_image(begin) + first * gradient_.dy.size(3),
                     gradient_.dy.size(3), count, gradient_.panels, dy);
      float* target = sums;
      for (const Tap& tap : gradient_.correlation.taps) {
        for (size_t tile = 0; tile < tiles_.size(); tile += kGatheredTiles) {
          const std::span<const Tile> tiles =
              std::span(tiles_).subspan(tile, std::min(tiles_.size() - tile, size_t{kGatheredTiles}));
          gather(stretches, tap, tiles, count, x);
          add_tiles(tiles, x, dy, count, target);
        }
        target += gradient_.channels * width;
      }
    }
  }

 private:
  /// Input channels.
  struct Tile {
    int64_t begin;
    int64_t count;
  };

  /// Neighbouring output pixels of one row of an image.
  struct Stretch {
    const float* image;
    Size2d size;
    int64_t row;
    int64_t begin;
    int64_t end;
  };

  /// Output pixels [first, first + count) of the images from `image` on.
  std::vector<Stretch> stretches_of(int64_t image, int64_t first, int64_t count) const {
    if (gradient_.pointwise()) {
      const int64_t end = first + count;
      return {{.image = gradient_.x_image(image), .size = {1, end}, .row = 0, .begin = first, .end = end}};
    }
    const int64_t width = gradient_.correlation.count.width;
    std::vector<Stretch> stretches;
    for (int64_t p = first; p < first + count; p = p - p % width + width) {
      const int64_t column = p % width;
      stretches.push_back({.image = gradient_.x_image(image + p / gradient_.pixels()),
                           .size = gradient_.source(),
                           .row = p % gradient_.pixels() / width,
                           .begin = column,
                           .end = std::min(width, column + first + count - p)});
    }
    return stretches;
  }

  /// What a tap reads for those pixels: [tile][pixel][kPackedChannels].
  void gather(const std::vector<Stretch>& stretches, const Tap& tap, std::span<const Tile> tiles,
              int64_t pixels, float* target) const {
    const Size2d step = gradient_.correlation.step;
    const float* end = gradient_.x.data<float>() + gradient_.x.numel();
    const int64_t pitch = gradient_.x.size(3);
    for (const Stretch& stretch : stretches) {
      const int64_t row = stretch.row * step.height + tap.row;
      const bool inside = row >= 0 && row < stretch.size.height;
      const float* source = stretch.image + row * stretch.size.width * pitch + gradient_.first_channel;
      for (int64_t p = stretch.begin; p < stretch.end; ++p, target += kPackedChannels) {
        const int64_t column = p * step.width + tap.column;
        const bool read = inside && column >= 0 && column < stretch.size.width;
        for (size_t i = 0; i < tiles.size(); ++i) {
          float* packed = target + static_cast<int64_t>(i) * pixels * kPackedChannels;
          if (read) {
            copy_channels_of_row(source + column * pitch + tiles[i].begin, end, tiles[i].count, packed);
          } else {
            std::fill_n(packed, kPackedChannels, 0.0F);
          }
        }
      }
    }
  }

  void add_tiles(std::span<const Tile> tiles, float* x, const float* dy, int64_t pixels, float* sums) const {
    for (const Tile& tile : tiles) {
      if (gradient_.kernels.values > 1) pair_rows(gradient_.kernels, pixels, kPackedChannels, x);
      add_products(gradient_.kernels, {.x = x, .x_pitch = kPackedChannels, .dy = dy, .rows = pixels},
                   tile.count, gradient_.panels, sums + tile.begin * gradient_.width, gradient_.width);
      x += pixels * kPackedChannels;
    }
  }

  const WeightGradient& gradient_;
  std::vector<Tile> tiles_;
};

/// Adds the partial sums in order and turns them round: dw[output][position][channel].
void write_gradient(const WeightGradient& gradient, const float* partials, int64_t count, Tensor& dw) {
  float* target = dw.data<float>() + gradient.first_output * gradient.rows();
  parallel_for(gradient.rows(), kWriteRows, [&](int64_t begin, int64_t end) {
    Tensor total = Tensor::zeros({(end - begin) * gradient.width});
    float* sums = total.data<float>();
    for (int64_t partial = 0; partial < count; ++partial) {
      const float* more = partials + partial * gradient.size() + begin * gradient.width;
      for (int64_t i = 0; i < (end - begin) * gradient.width; ++i) sums[i] += more[i];
    }
    for (int64_t o = 0; o < gradient.outputs; ++o) {
      float* of_output = target + o * gradient.rows();
      for (int64_t row = begin; row < end; ++row) of_output[row] = sums[(row - begin) * gradient.width + o];
    }
  });
}

template <class Sums>
void sum_images(const WeightGradient& gradient, const Sums& sums, Tensor& dw) {
  const int64_t batch = gradient.x.size(0);
  const int64_t affordable = std::max<int64_t>(2, kPartialBytes / (gradient.size() * int64_t{sizeof(float)}));
  // A power of two of them, so that they spread evenly over as many threads.
  const uint64_t most = std::bit_floor(static_cast<uint64_t>(std::min(kMaxWeightPartials, affordable)));
  const int64_t grain = chunk_count(batch, std::min(batch, static_cast<int64_t>(most)));
  Tensor partials = Tensor::empty({chunk_count(batch, grain), gradient.size()});
  parallel_for(batch, grain, [&](int64_t begin, int64_t end) {
    float* partial = partials.data<float>() + begin / grain * gradient.size();
    std::fill_n(partial, gradient.size(), 0.0F);
    sums.add(begin, end, partial);
  });
  write_gradient(gradient, partials.data<float>(), partials.size(0), dw);
}

}  // namespace

void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Precision precision, Tensor& dw) {
  const DirectKernels& kernels = direct_kernels(precision);
  const int64_t outputs = dw.size(0) / options.groups;
  const std::vector<Panel> panels = panels_of(outputs, kernels.lanes);
  for (int64_t group = 0; group < options.groups; ++group) {
    const WeightGradient gradient{.dy = dy,
                                  .x = x,
                                  .kernels = kernels,
                                  .correlation = forward_correlation(dw.shape(), dy.shape(), options),
                                  .channels = dw.size(3),
                                  .first_channel = group * dw.size(3),
                                  .outputs = outputs,
                                  .first_output = group * outputs,
                                  .panels = panels,
                                  .width = packed_width(panels, kernels.lanes)};
    if (WindowSums::suit(gradient)) {
      sum_images(gradient, WindowSums(gradient), dw);
    } else {
      sum_images(gradient, GatheredSums(gradient), dw);
    }
  }
}

}  // namespace ds::cpu
