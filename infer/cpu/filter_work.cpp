#include "infer/cpu/filter_work.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"

namespace ds::infer {
namespace {

constexpr int64_t kChunkWork = 500'000;          // products of a chunk: enough to hide the hand-out
constexpr int64_t kLittleWork = 4 * kChunkWork;  // products, for each thread
constexpr int64_t kSegmentTiles = 8;             // of a row, that a chunk may take alone
/// Threads share panels instead of rows where there are so many times as many bytes of weights as of values.
constexpr int64_t kWeightsPerValue = 4;
constexpr int64_t kLineBytes = 64;
/// Of products for an output: a thread that waits for a line which another one has written takes as long as
/// some hundred of them.
constexpr int64_t kFewProducts = 1024;
/// Half of the first cache: bytes of a unit's outputs, and weights of a layer, a byte each when unpacked.
constexpr int64_t kHalfCache = 16'384;
constexpr int64_t kUnpackedChunks = 8;  // for each thread, where chunks unpack weights
constexpr int64_t kMostUnpackedWork = 32 * kChunkWork;
constexpr int64_t kTilesToUnpack = 3;  // that unpacking once is quicker for than decoding for each of them

/// Of so many parts; even, since pairs of pixels are rescaled at once.
int64_t even_size(int64_t pixels, int64_t parts) {
  const int64_t size = chunk_count(pixels, parts);
  return size + size % 2;
}

/// Tiles of about the same size.
int64_t tile_pixels(const FilterWork& work, int64_t pixels) {
  return std::min(even_size(pixels, chunk_count(pixels, work.tile_pixels)), work.tile_pixels);
}

/// About `count`, at most `most`: `times` as many are the same number for every thread, where that can be.
int64_t shared_count(int64_t count, int64_t times, int64_t most) {
  const int64_t threads = num_threads();
  const int64_t step = threads / std::gcd(times, threads);
  const int64_t up = chunk_count(count, step) * step;
  if (up <= most) return up;
  return most >= step ? most / step * step : most;
}

/// Few tiles where each is much work, and the same for every thread.
void cut_rows(const FilterWork& work, FilterCut& cut) {
  const int64_t tile_work =
      std::max<int64_t>(1, work.output_products * work.tile_pixels * work.panel_outputs);
  const int64_t tiles = chunk_count(cut.width, work.tile_pixels);
  int64_t most = std::clamp<int64_t>(kChunkWork / tile_work, 1, kSegmentTiles);
  if (cut.panels_inside)
    most = std::clamp<int64_t>(kHalfCache / (work.tile_pixels * work.pixel_bytes), 1, most);
  const int64_t segments = shared_count(chunk_count(tiles, most), cut.rows, tiles);
  cut.segment = std::min(cut.width, even_size(cut.width, segments));
  cut.segments = chunk_count(cut.width, cut.segment);
  cut.tile = tile_pixels(work, cut.segment);
  cut.last_tile = tile_pixels(work, cut.width - (cut.segments - 1) * cut.segment);
}

bool is_little(const FilterWork& work, int64_t images) {
  return images * work.image_products() <= kLittleWork * num_threads();
}

/// Panels that an item takes where threads share panels: those that write to the same lines of the cache, if
/// pixels begin with a line, and if it matters.
int64_t line_panels(const FilterWork& work, const FilterCut& cut) {
  const bool matters = work.output_products <= kFewProducts && cut.rows * cut.width > 1;
  if (!matters || work.pixel_bytes % kLineBytes != 0) return 1;
  return std::clamp<int64_t>(kLineBytes / work.panel_bytes, 1, work.panels);
}

/// Threads share rows, and meet those that they wrote in the step before: what another processor has in its
/// cache takes long to come. But many weights for few values are shared by panels; not so where work is
/// little and two threads would write to most lines of the cache.
bool shares_panels(const FilterWork& work, int64_t images) {
  const bool lines_are_own = work.pixel_bytes >= kLineBytes * num_threads();
  return work.weight_bytes > kWeightsPerValue * images * work.input_bytes &&
         (lines_are_own || !is_little(work, images));
}

/// Few weights for many outputs: a panel after the other would write a part of every line of the outputs,
/// which come from the second cache each time.
bool takes_panels_inside(const FilterWork& work, const FilterCut& cut) {
  const int64_t tiles = cut.rows * chunk_count(cut.width, work.tile_pixels);
  return work.panels > 1 && work.outputs * work.output_products <= kHalfCache && tiles >= num_threads();
}

/// Products of a chunk: more where each unpacks weights, as long as every thread gets some.
int64_t chunk_work(const FilterWork& work, int64_t images) {
  if (!work.may_unpack) return kChunkWork;
  return std::clamp(images * work.image_products() / (kUnpackedChunks * num_threads()), kChunkWork,
                    kMostUnpackedWork);
}

/// Of rows; times panels as many for every thread.
int64_t block_count(const FilterWork& work, const FilterCut& cut, int64_t images) {
  const int64_t unit_work =
      std::max<int64_t>(1, cut.segment * work.output_products * work.panel_outputs * cut.item_panels);
  const int64_t blocks = chunk_count(cut.units(), std::max<int64_t>(1, chunk_work(work, images) / unit_work));
  return shared_count(blocks, cut.by_panels ? cut.panel_groups() : 1, cut.units());
}

}  // namespace

FilterCut cut_work(const FilterWork& work, int64_t images) {
  FilterCut cut{.rows = images * work.rows, .width = work.width, .panels = work.panels};
  if (work.images_are_pixels) {
    cut.rows = 1;
    cut.width = images;
  }
  cut.panels_inside = takes_panels_inside(work, cut);
  cut_rows(work, cut);
  cut.by_panels = !cut.panels_inside && shares_panels(work, images);
  if (cut.panels_inside) cut.item_panels = work.panels;
  if (cut.by_panels) cut.item_panels = line_panels(work, cut);
  cut.blocks = block_count(work, cut, images);
  const bool is_even = cut.items() % num_threads() == 0 && cut.units() % cut.blocks == 0;
  const bool in_parts = is_little(work, images) && is_even;  // nobody needs help
  cut.chunks = in_parts ? num_threads() : cut.items();
  cut.own_rows = in_parts && !cut.by_panels && cut.blocks % num_threads() == 0;
  cut.unpacks =
      work.may_unpack && cut.units() * chunk_count(cut.segment, cut.tile) >= kTilesToUnpack * cut.blocks;
  return cut;
}

}  // namespace ds::infer
