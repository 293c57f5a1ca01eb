#include "core/cpu/conv2d/conv2d_winograd.h"

#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/conv2d/winograd_tiles.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"
#include "core/cpu/streaming.h"

namespace ds::cpu {
namespace {

// Tiles that go through the three steps together: their transforms stay in the L2 cache where channels are
// few, and the filters' are read often enough from beyond it where channels are many.
constexpr int64_t kChunkBytes = 1 << 20;
constexpr int64_t kFewestTiles = 32;
constexpr int64_t kMostTiles = 96;
// With fewer chunks than that, the tiles go through each step together instead.
constexpr int64_t kFewestChunks = 8;
constexpr int64_t kFewTilesGrain = 2;
// Channels of filters that one chunk of the filter transform takes.
constexpr int64_t kFilterChannels = 16;

/// Transformed filters as [panel][position][channel, or pair of channels][lanes of the panel].
/// weight(tap, channel, output) reads the filters.
template <class Tile, class Weight>
Tensor transform_filters(int64_t channels, const std::vector<Panel>& panels, Precision precision,
                         const Weight& weight) {
  const DirectKernels& direct = direct_kernels(precision);
  const WinogradForward& kernels = forward_of<Tile>(winograd_kernels(precision));
  const int64_t words = channels / direct.values;
  Tensor result = Tensor::empty({Tile::kPositions * words * packed_width(panels, direct.lanes)});
  float* packed = result.data<float>();
  const int64_t blocks = chunk_count(channels, kFilterChannels);
  parallel_chunks(static_cast<int64_t>(panels.size()) * blocks, [&](int64_t chunk) {
    const Panel& panel = panels[static_cast<size_t>(chunk / blocks)];
    const int64_t width = int64_t{panel.vectors} * direct.lanes;
    float* target = packed + Tile::kPositions * words * panel.first;
    const bool streams = direct.values == 1 && worth_streaming(packed, width, width, result.numel());
    std::vector<float> filters(static_cast<size_t>(kTaps * width));  // zero beyond the last output
    std::vector<float> odd(static_cast<size_t>(Tile::kPositions * width));
    const auto transform = [&](int64_t c, float* u, int64_t pitch) {
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        float* row = filters.data() + tap * width;
        for (int64_t o = 0; o < panel.outputs; ++o) row[o] = weight(tap, c, panel.first + o);
      }
      kernels.filter(filters.data(), width, u, pitch, streams);
    };
    const int64_t begin = chunk % blocks * kFilterChannels;
    for (int64_t c = begin; c < std::min(channels, begin + kFilterChannels); c += direct.values) {
      float* u = target + c / direct.values * width;
      transform(c, u, words * width);
      if (direct.values == 1) continue;
      transform(c + 1, odd.data(), width);
      for (int64_t s = 0; s < Tile::kPositions; ++s) {
        direct.pair_rows(u + s * words * width, odd.data() + s * width, width, u + s * words * width);
      }
    }
    if (streams) finish_streaming();
  });
  return result;
}

/// A convolution of all tiles: forward, or backward-data with the filters turned round.
template <class Tile>
struct Job {
  Precision precision;
  Tiling<Tile> tiling;
  int64_t channels;
  int64_t outputs;
  std::vector<Panel> panels;
  const float* x;
  const float* filters;  // as transform_filters() packs them
  const float* bias;     // or null
  Conv2dEpilogue epilogue;
  float* y;
};

/// Consecutive tiles on their way through the three steps: transform the inputs to v, multiply
/// m[position][tile][output] = v[position][tile][channel] u[position][channel][output], write the outputs.
template <class Tile>
class TileGroup {
 public:
  TileGroup(const Job<Tile>& job, int64_t first, int64_t tiles)
      : job_(job),
        first_(first),
        tiles_(tiles),
        direct_(direct_kernels(job.precision)),
        words_(job.channels / direct_.values),
        v_pitch_(padded_pitch(tiles, words_)),
        m_pitch_(padded_pitch(tiles, job.outputs)),
        memory_(Tensor::empty({Tile::kPositions * (v_pitch_ + m_pitch_)})),
        v_(memory_.data<float>()),
        m_(v_ + Tile::kPositions * v_pitch_) {}

  /// Tiles [begin, end) of the group; `zeros` has a value for each channel.
  void transform(int64_t begin, int64_t end, const float* zeros) const {
    const WinogradForward& kernels = forward_of<Tile>(winograd_kernels(job_.precision));
    for_tiles<Tile>(
        begin, end, job_.channels,
        [&](int64_t t) { return input_pixels(job_.tiling, job_.x, job_.channels, first_ + t, zeros); },
        [&](int64_t t, const auto& pixels) {
          kernels.input(pixels.data(), job_.channels, v_ + t * words_, v_pitch_);
        });
  }

  /// All tiles of one position and one panel. `asks_ahead`: for the filters of the panel's next position,
  /// each piece of the tiles for its share; after the last position the next panel begins.
  void multiply(int64_t position, const Panel& panel, bool asks_ahead) const {
    constexpr DirectTap kTap{.x = 0, .w = 0};
    const int64_t width = int64_t{panel.vectors} * direct_.lanes;
    const int64_t floats = words_ * width;
    DirectTile tile{.x = nullptr,
                    .x_pitch = words_,
                    .tap = &kTap,
                    .taps = 1,
                    .channels = words_,
                    .w = job_.filters + (Tile::kPositions * panel.first + position * width) * words_,
                    .bias = nullptr,
                    .y = nullptr,
                    .y_pitch = job_.outputs,
                    .outputs = panel.outputs};
    for_even_pieces(tiles_, direct_.max_pixels[panel.vectors - 1], [&](int64_t begin, int64_t tiles) {
      tile.x = v_ + position * v_pitch_ + begin * words_;
      tile.ahead = asks_ahead ? tile.w + floats + floats * begin / tiles_ : tile.x;
      tile.ahead_step = asks_ahead ? chunk_count(width * tiles, tiles_) : 0;
      tile.y = m_ + position * m_pitch_ + begin * job_.outputs + panel.first;
      direct_.tile[panel.vectors - 1][tiles - 1](tile);
    });
  }

  /// Tiles [begin, end) of the group; `unread` takes the outputs outside the image.
  void write(int64_t begin, int64_t end, float* unread) const {
    const WinogradForward& kernels = forward_of<Tile>(winograd_kernels());
    for (int64_t t = begin; t < end; ++t) {
      const auto pixels = output_pixels(job_.tiling, job_.y, job_.outputs, first_ + t, unread);
      kernels.output(m_ + t * job_.outputs, m_pitch_, job_.bias, job_.outputs, pixels.data());
      if (job_.epilogue.empty()) continue;
      for (const float* pixel : pixels) {
        if (pixel != unread) job_.epilogue.apply(job_.y, pixel - job_.y, job_.outputs);
      }
    }
  }

 private:
  const Job<Tile>& job_;
  int64_t first_;
  int64_t tiles_;
  const DirectKernels& direct_;
  int64_t words_;  // of a tile's channels
  int64_t v_pitch_;
  int64_t m_pitch_;
  Tensor memory_;
  float* v_;
  float* m_;
};

template <class Tile>
int64_t tiles_per_chunk(const Job<Tile>& job) {
  const int64_t bytes = Tile::kPositions * (job.channels + job.outputs) * int64_t{sizeof(float)};
  return std::clamp(kChunkBytes / bytes, kFewestTiles, kMostTiles);
}

/// Each chunk of tiles goes through all three steps.
template <class Tile>
void run_in_chunks(const Job<Tile>& job, int64_t grain, const float* zeros) {
  parallel_for(job.tiling.count(), grain, [&](int64_t begin, int64_t end) {
    const int64_t tiles = end - begin;
    const TileGroup<Tile> group(job, begin, tiles);
    Tensor unread = Tensor::empty({job.outputs});
    group.transform(0, tiles, zeros);
    for (int64_t position = 0; position < Tile::kPositions; ++position) {
      for (const Panel& panel : job.panels) group.multiply(position, panel, false);
    }
    group.write(0, tiles, unread.data<float>());
  });
}

/// The steps one after the other, for few tiles: the filters, larger than all else, are read once.
template <class Tile>
void run_at_once(const Job<Tile>& job, const float* zeros) {
  const int64_t tiles = job.tiling.count();
  const TileGroup<Tile> group(job, 0, tiles);
  parallel_for(tiles, kFewTilesGrain,
               [&](int64_t begin, int64_t end) { group.transform(begin, end, zeros); });
  const int64_t chunks = Tile::kPositions * static_cast<int64_t>(job.panels.size());
  parallel_chunks(chunks, [&](int64_t chunk) {
    group.multiply(chunk % Tile::kPositions, job.panels[static_cast<size_t>(chunk / Tile::kPositions)],
                   chunk + 1 < chunks);
  });
  parallel_for(tiles, kFewTilesGrain, [&](int64_t begin, int64_t end) {
    Tensor unread = Tensor::empty({job.outputs});
    group.write(begin, end, unread.data<float>());
  });
}

template <class Tile>
void run(const Job<Tile>& job) {
  const Tensor zeros = Tensor::zeros({job.channels});
  const int64_t grain = tiles_per_chunk(job);
  if (job.tiling.count() < kFewestChunks * grain) return run_at_once(job, zeros.data<float>());
  run_in_chunks(job, grain, zeros.data<float>());
}

/// use(tile of the side).
template <class Use>
auto with_tile(WinogradSide side, const Use& use) {
  return side == WinogradSide::k4 ? use(WinogradTile4{}) : use(WinogradTile2{});
}

template <class Tile>
void run_forward(const Tensor& x, const WinogradFilters& filters, const Conv2dOptions& options,
                 const Conv2dEpilogue& epilogue, Tensor& y) {
  run<Tile>({.precision = filters.precision,
             .tiling = {.input = image_size(x),
                        .output = image_size(y),
                        .padding = options.padding,
                        .batch = x.size(0)},
             .channels = x.size(3),
             .outputs = y.size(3),
             .panels = panels_of(y.size(3), direct_kernels(filters.precision).lanes),
             .x = x.data<float>(),
             .filters = filters.transformed.data<float>(),
             .bias = filters.bias.defined() ? filters.bias.data<float>() : nullptr,
             .epilogue = epilogue,
             .y = y.data<float>()});
}

}  // namespace

WinogradFilters transform_winograd(const Tensor& w, const Tensor& bias, Precision precision,
                                   WinogradSide side) {
  const int64_t channels = w.size(3);
  const float* filters = w.data<float>();
  const auto filter = [&](int64_t tap, int64_t c, int64_t o) {
    return filters[(o * kTaps + tap) * channels + c];
  };
  const std::vector<Panel> panels = panels_of(w.size(0), direct_kernels(precision).lanes);
  const auto transformed = with_tile(side, [&](auto tile) {
    return transform_filters<decltype(tile)>(channels, panels, precision, filter);
  });
  return {.transformed = transformed, .bias = bias, .precision = precision, .side = side};
}

void conv2d_winograd(const Tensor& x, const WinogradFilters& filters, const Conv2dOptions& options,
                     const Conv2dEpilogue& epilogue, Tensor& y) {
  with_tile(filters.side, [&](auto tile) { run_forward<decltype(tile)>(x, filters, options, epilogue, y); });
}

void conv2d_backward_data_winograd(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                   Precision precision, Tensor& dx) {
  const int64_t channels = w.size(3);
  const std::vector<Panel> panels = panels_of(channels, direct_kernels(precision).lanes);
  const float* filters = w.data<float>();
  const auto filter = [&](int64_t tap, int64_t o, int64_t c) {
    return filters[(o * kTaps + kTaps - 1 - tap) * channels + c];
  };
  const Tensor transformed = transform_filters<WinogradTile4>(w.size(0), panels, precision, filter);
  run<WinogradTile4>({.precision = precision,
                      .tiling = {.input = image_size(dy),
                                 .output = image_size(dx),
                                 .padding = {2 - options.padding.height, 2 - options.padding.width},
                                 .batch = dy.size(0)},
                      .channels = dy.size(3),
                      .outputs = channels,
                      .panels = panels,
                      .x = dy.data<float>(),
                      .filters = transformed.data<float>(),
                      .bias = nullptr,
                      .epilogue = {},
                      .y = dx.data<float>()});
}

}  // namespace ds::cpu
