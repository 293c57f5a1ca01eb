#include "core/cpu/conv2d/row_products.h"

#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/select.h"
#include "core/cpu/prefetch.h"

namespace ds::cpu {
namespace {

constexpr int64_t kSmallFilters = 4096;  // floats

/// Rows [begin, begin + count) times one panel. What comes from memory next is asked for on the way: rows
/// that nothing has read yet, and the next panel, so much of it a row.
void multiply_panel(const Rows& rows, int64_t begin, int64_t count, const Images& images,
                    const Filters& filters, const PanelRange& panels, int64_t p, int64_t length) {
  const DirectKernels& kernels = direct_kernels(filters.precision);
  const Panel& panel = filters.panels[static_cast<size_t>(p)];
  DirectTile tile = tile_of(panel, images, filters, length);
  tile.tap = rows.taps.data();
  tile.taps = static_cast<int64_t>(rows.taps.size());
  tile.channels = rows.channels;
  tile.x_pitch = rows.x_pitch;
  tile.y_pitch = rows.y_pitch;
  const bool ahead = rows.from_memory && p == panels.first;
  const int64_t floats = length * panel.vectors * kernels.lanes;
  const int64_t most = kernels.max_pixels[panel.vectors - 1];
  const bool another = count > most && p + 1 < static_cast<int64_t>(filters.panels.size());
  const int64_t share = another ? floats / count : 0;
  for_even_pieces(count, most, [&](int64_t from, int64_t size) {
    tile.x = rows.x + (begin + from) * rows.x_pitch;
    tile.y = images.target + rows.target + (begin + from) * rows.y_pitch + panel.first;
    tile.ahead = ahead ? tile.x + size * rows.x_pitch : tile.x;
    tile.ahead_step = ahead ? size : 0;
    kernels.tile[panel.vectors - 1][size - 1](tile);
    prefetch(tile.w + floats + from * share, size * share);
  });
}

}  // namespace

void multiply_rows(const Rows& rows, const Images& images, const Filters& filters, const PanelRange& panels,
                   int64_t length) {
  const DirectKernels& kernels = direct_kernels(filters.precision);
  // Small filters stay in the L1 cache: rows are written from end to end, one tile after the other.
  const bool small =
      panels.last - panels.first > 1 && length * packed_width(filters.panels, kernels.lanes) <= kSmallFilters;
  const int64_t grain = small ? kernels.max_pixels[filters.panels.front().vectors - 1] : rows.count;
  for_even_pieces(rows.count, grain, [&](int64_t begin, int64_t count) {
    for (int64_t p = panels.first; p < panels.last; ++p)
      multiply_panel(rows, begin, count, images, filters, panels, p, length);
  });
  const int64_t from = filters.panels[static_cast<size_t>(panels.first)].first;
  const Panel& last = filters.panels[static_cast<size_t>(panels.last - 1)];
  filters.epilogue.apply(images.target, rows.target + from, rows.count, rows.y_pitch,
                         last.first + last.outputs - from);
  if (streams_outputs(images, filters)) finish_streaming();
}

}  // namespace ds::cpu
