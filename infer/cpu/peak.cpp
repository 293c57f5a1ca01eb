#include "infer/cpu/peak.h"

#include <vector>

#include "core/cpu/peaks.h"
#include "core/parallel.h"
#include "infer/cpu/kernels/select.h"

namespace ds::infer {
namespace {

constexpr int64_t kChunksOfThread = 8;
constexpr int64_t kRepeats = 1000;  // of a chunk
constexpr int64_t kWords = 128;     // of a window
constexpr int64_t kWordValues = 4;

/// The largest tile, again and again.
void run_tiles(const PackedKernels& kernels) {
  const int64_t pixels = kernels.max_pixels[0];
  const int64_t outputs = int64_t{kernels.vectors[0]} * kernels.lanes;
  const std::vector<uint8_t> x(static_cast<size_t>(pixels * kWords * kWordValues), 1);
  const std::vector<uint8_t> w(static_cast<size_t>(kWords * outputs * kWordValues), 1);
  std::vector<int32_t> sums(static_cast<size_t>(pixels * outputs));
  const PackedRun run{.offset = 0, .words = kWords, .weights = 0, .skips_first = false, .skips_last = false};
  const PackedTile tile{.x = x.data(),
                        .x_pitch = kWords * kWordValues,
                        .runs = &run,
                        .run_count = 1,
                        .w = w.data(),
                        .crumb_weights = nullptr,
                        .start = nullptr,
                        .sums = sums.data()};
  const PackedKernels::DotProducts& dots =
      kernels.unpacked.dots != nullptr ? *kernels.unpacked.dots : kernels.dots;
  for (int64_t i = 0; i < kRepeats; ++i) dots.u8[0][pixels - 1](tile);
}

}  // namespace

double measure_byte_peak() {
  const PackedKernels& kernels = *integer_kernels().packed;
  const int64_t chunks = kChunksOfThread * num_threads();
  const double seconds =
      cpu::best_seconds([&] { parallel_chunks(chunks, [&](int64_t) { run_tiles(kernels); }); });
  const int64_t products =
      chunks * kRepeats * kernels.max_pixels[0] * kernels.vectors[0] * kernels.lanes * kWords * kWordValues;
  return 2e-9 * static_cast<double>(products) / seconds;
}

}  // namespace ds::infer
