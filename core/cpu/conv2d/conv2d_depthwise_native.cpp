// Depthwise convolutions with the kernels of core/cpu/kernels/depthwise.h: the output is cut into rectangles
// whose pixels see the same taps of the filter, nine of them for a 3x3 filter with a border; or into bands of
// whole rows, along which the filters slide.
#include <algorithm>
#include <utility>
#include <vector>

#include "core/cpu/conv2d/conv2d_geometry.h"
#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"
#include "core/cpu/prefetch.h"
#include "core/cpu/streaming.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

// Multiply-accumulates of a chunk: enough to hide its hand-out, and of a large batch so many that
// neighbouring rows, which read the same inputs, are mostly in one.
constexpr int64_t kFewestProducts = 1 << 16;
constexpr int64_t kMostProducts = 1 << 20;
constexpr int64_t kChunks = 64;
// Pieces of a weight gradient's work: blocks of channels times partial sums over images, which are added in
// order.
constexpr int64_t kWeightPieces = 64;
constexpr int64_t kFewestPartials = 16;
constexpr int64_t kWeightBlockChannels = 256;
// Swept before the next channels are, so that x and dy stay in the caches; of small images several at a time,
// so that the sums are fetched and put back less often.
constexpr int64_t kWeightBlockPixels = 256;
constexpr int64_t kWeightImagesPixels = 1024;  // whose x and dy stay in the L2 cache

/// Whether filters three wide slide along the rows, by one or two columns, from a border of one column on.
bool slides(const Correlation& correlation, int64_t source_width) {
  const int64_t step = correlation.step.width;
  if (step > 2 || source_width < step + 2 || correlation.taps.size() % 3 != 0) return false;
  if (correlation.count.width < 2 || (correlation.count.width - 1) * step >= source_width) return false;
  for (size_t t = 0; t < correlation.taps.size(); ++t) {
    if (correlation.taps[t].column != static_cast<int64_t>(t % 3) - 1) return false;
  }
  return true;
}

/// A region, or where filters slide whole rows, and where its taps read: offsets of x from the pixel's
/// origin, and of the weights, in floats.
struct Taps {
  Segment rows;
  Segment columns;
  std::vector<int64_t> offsets;
  std::vector<int64_t> weights;
};

std::vector<Taps> taps_of(const Correlation& correlation, Size2d source, int64_t channels, bool sliding) {
  std::vector<Taps> all;
  for (Region region : regions_of(correlation, source)) {
    if (sliding) {
      if (region.columns.begin != 1) continue;  // column 1 sees all taps
      region.columns = {.begin = 0, .end = correlation.count.width};
    }
    Taps taps{.rows = region.rows, .columns = region.columns, .offsets = {}, .weights = {}};
    for (const size_t t : region.taps) {
      const Tap& tap = correlation.taps[t];
      taps.offsets.push_back((tap.row * source.width + tap.column) * channels);
      taps.weights.push_back(tap.index * channels);
    }
    all.push_back(std::move(taps));
  }
  return all;
}

/// One row of one region.
void correlate_row(const Correlation& correlation, const Taps& region, bool sliding, int64_t row,
                   DepthwiseTile tile, int64_t source_width, float* target) {
  const DepthwiseKernels& kernels = depthwise_kernels();
  tile.tap_offsets = region.offsets.data();
  tile.tap_weights = region.weights.data();
  tile.taps = static_cast<int64_t>(region.offsets.size());
  for_even_pieces(region.columns.size(), DepthwiseKernels::kMaxPixels, [&](int64_t from, int64_t pixels) {
    const int64_t column = region.columns.begin + from;
    tile.start = row * correlation.step.height * source_width * tile.channels + column * tile.x_pitch;
    // The next row is too far away for the processor to foresee it: the last tap's inputs, which no other row
    // has read.
    for (int64_t r = 1; tile.taps > 0 && r <= correlation.step.height; ++r) {
      prefetch(tile.x + tile.start + region.offsets.back() + r * source_width * tile.channels,
               pixels * tile.x_pitch);
    }
    tile.y = target + column * tile.y_pitch;
    if (sliding) {
      const int64_t step = correlation.step.width;
      const bool right = (column + pixels - 1) * step + 1 < source_width;
      kernels.sliding_tile[step - 1][pixels - 1][column > 0 ? 1 : 0][right ? 1 : 0](tile);
    } else {
      kernels.tile[pixels - 1](tile);
    }
  });
}

/// The epilogue is of forward passes: they write whole rows, one after the other.
void correlate(const Correlation& correlation, const Tensor& source, const Tensor& w, const float* bias,
               const Conv2dEpilogue& epilogue, Tensor& target) {
  const int64_t channels = source.size(3);
  const Size2d size = {source.size(1), source.size(2)};
  const bool sliding = slides(correlation, size.width);
  const std::vector<Taps> regions = taps_of(correlation, size, channels, sliding);
  const DepthwiseTile common{.x = nullptr,
                             .start = 0,
                             .x_pitch = correlation.step.width * channels,
                             .tap_offsets = nullptr,
                             .tap_weights = nullptr,
                             .taps = 0,
                             .w = w.data<float>(),
                             .bias = bias,
                             .y = nullptr,
                             .y_pitch = correlation.spacing.width * channels,
                             .channels = channels,
                             .streams = epilogue.empty() && worth_streaming(target.data<float>(), channels,
                                                                            channels, target.numel())};
  const int64_t row_work = correlation.count.width * channels * static_cast<int64_t>(correlation.taps.size());
  const int64_t rows = correlation.count.height;
  const int64_t work = std::clamp(source.size(0) * rows * row_work / kChunks, kFewestProducts, kMostProducts);
  parallel_for(source.size(0) * rows, std::max<int64_t>(1, work / row_work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / rows;
      const int64_t row = i % rows;
      DepthwiseTile tile = common;
      tile.x = source.data<float>() + image * size.height * size.width * channels;
      const int64_t target_row =
          image * target.size(1) + correlation.first.height + row * correlation.spacing.height;
      float* y = target.data<float>() + (target_row * target.size(2) + correlation.first.width) * channels;
      for (const Taps& region : regions) {
        if (region.rows.begin <= row && row < region.rows.end)
          correlate_row(correlation, region, sliding, row, tile, size.width, y);
      }
    }
    if (common.streams) finish_streaming();
    const int64_t row_floats = correlation.count.width * channels;
    if (!epilogue.empty())
      epilogue.apply(target.data<float>(), begin * row_floats, (end - begin) * row_floats);
  });
}

/// Adds what the images of a tile give to the weight gradient [position][channel]: a rectangle of output
/// pixels at a time, or, where filters slide, whole rows.
void add_images(const std::vector<Taps>& regions, bool sliding, DepthwiseWeightTile tile) {
  const DepthwiseKernels& kernels = depthwise_kernels();
  const DepthwiseWeightTile all = tile;
  for (const Taps& region : regions) {
    const auto taps = static_cast<int64_t>(region.offsets.size());
    const int64_t height = region.rows.size();
    tile.pixels = region.columns.size();
    const int64_t rows = std::clamp<int64_t>(kWeightBlockPixels / tile.pixels, 1, height);
    const int64_t images = std::clamp<int64_t>(kWeightBlockPixels / (tile.pixels * height), 1, all.images);
    for (int64_t n = 0; n < all.images; n += images) {
      tile.images = std::min(images, all.images - n);
      tile.x = all.x + n * all.x_image;
      for (int64_t row = region.rows.begin; row < region.rows.end; row += rows) {
        tile.rows = std::min(rows, region.rows.end - row);
        tile.start = row * tile.x_row + region.columns.begin * tile.x_pitch;
        tile.dy = all.dy + n * all.dy_image + row * tile.dy_row + region.columns.begin * tile.dy_pitch;
        for (int64_t first = 0; first < taps; first += DepthwiseKernels::kMaxTaps) {
          const int64_t count = std::min<int64_t>(taps - first, DepthwiseKernels::kMaxTaps);
          tile.tap_offsets = region.offsets.data() + first;
          tile.tap_weights = region.weights.data() + first;
          (sliding ? kernels.sliding_weight_tile[count / 3 - 1] : kernels.weight_tile[count - 1])(tile);
        }
      }
    }
  }
}

}  // namespace

DepthwiseFilters pack_depthwise(const Tensor& w, const Tensor& bias) {
  return {.shape = w.shape(), .packed = depthwise_channels_last<float>(w), .bias = bias};
}

void conv2d_depthwise_native(const Tensor& x, const DepthwiseFilters& filters, const Conv2dOptions& options,
                             const Conv2dEpilogue& epilogue, Tensor& y) {
  correlate(forward_correlation(filters.shape, y.shape(), options), x, filters.packed,
            filters.bias.defined() ? filters.bias.data<float>() : nullptr, epilogue, y);
}

void conv2d_backward_data_depthwise_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                           Tensor& dx) {
  const std::vector<Correlation> phases = backward_correlations(dx.shape(), w.shape(), options);
  if (pixels_covered(phases) < dx.size(1) * dx.size(2)) dx.fill(0.0);
  const Tensor filters = depthwise_channels_last<float>(w);
  for (const Correlation& phase : phases) correlate(phase, dy, filters, nullptr, {}, dx);
}

void conv2d_backward_weight_depthwise_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                             Tensor& dw) {
  const Correlation correlation = forward_correlation(dw.shape(), dy.shape(), options);
  const int64_t channels = x.size(3);
  const int64_t positions = dw.size(1) * dw.size(2);
  const int64_t batch = x.size(0);
  const bool sliding =
      slides(correlation, x.size(2)) && correlation.step.width == 1 && correlation.count.width == x.size(2);
  const std::vector<Taps> regions = taps_of(correlation, {x.size(1), x.size(2)}, channels, sliding);
  const int64_t blocks = chunk_count(channels, kWeightBlockChannels);
  const int64_t most = std::max(kFewestPartials, kWeightPieces / blocks);
  const int64_t grain = chunk_count(batch, most);  // images a partial sum holds
  const int64_t chunks = chunk_count(batch, grain);
  const int64_t together = std::max<int64_t>(1, kWeightImagesPixels / (dy.size(1) * dy.size(2)));
  Tensor partials = Tensor::zeros({chunks, positions, channels});
  float* sums = partials.data<float>();
  parallel_chunks(chunks * blocks, [&](int64_t unit) {
    const int64_t chunk = unit / blocks;
    const int64_t from = unit % blocks * kWeightBlockChannels;
    const int64_t end = std::min(batch, (chunk + 1) * grain);
    DepthwiseWeightTile tile{.x = nullptr,
                             .start = 0,
                             .x_image = x.size(1) * x.size(2) * channels,
                             .x_row = correlation.step.height * x.size(2) * channels,
                             .x_pitch = correlation.step.width * channels,
                             .tap_offsets = nullptr,
                             .tap_weights = nullptr,
                             .dy = nullptr,
                             .dy_image = dy.size(1) * dy.size(2) * channels,
                             .dy_row = dy.size(2) * channels,
                             .dy_pitch = channels,
                             .images = 0,
                             .rows = 0,
                             .pixels = 0,
                             .dw = sums + chunk * positions * channels + from,
                             .channels = std::min(kWeightBlockChannels, channels - from)};
    for (int64_t n = chunk * grain; n < end; n += together) {
      tile.x = x.data<float>() + n * tile.x_image + from;
      tile.dy = dy.data<float>() + n * tile.dy_image + from;
      tile.images = std::min(together, end - n);
      add_images(regions, sliding, tile);
    }
  });
  parallel_for(channels, kWeightBlockChannels, [&](int64_t begin, int64_t end) {
    std::vector<float> total(static_cast<size_t>(end - begin));
    for (int64_t p = 0; p < positions; ++p) {
      std::fill(total.begin(), total.end(), 0.0F);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const float* more = sums + (chunk * positions + p) * channels + begin;
        for (size_t c = 0; c < total.size(); ++c) total[c] += more[c];
      }
      for (int64_t c = begin; c < end; ++c)
        dw.data<float>()[c * positions + p] = total[static_cast<size_t>(c - begin)];
    }
  });
}

}  // namespace ds::cpu
