// Rung 6: the kernels that integer nets run on (cuda/filter.h), the fastest of their ways.
//
// Teaches where a GPU's arithmetic is. An instruction of the tensor cores multiplies 16 x 32 bytes by 32 x 8
// for a whole warp: 128 multiply-adds a thread, where dp4a has four. To keep it busy, windows and codes come
// to shared memory several steps ahead, copied by instructions that do not wait, and codes stay packed until
// they are in the registers that the tensor cores read. This multiplies, too: powers of two are left as a
// small format that is decoded fast.
#include <limits>

#include "bench/ladder/problem.h"
#include "bench/ladder/start.cuh"
#include "bench/ladder/timing.h"
#include "cuda/filter.h"
#include "infer/integer_net.h"

namespace ds::bench::ladder {
namespace {

using cuda::FilterArguments;
using cuda::FilterTile;
using Start = std::function<void(cudaStream_t)>;

constexpr int kBits = 4;
constexpr int kTriedStarts = 5;

infer::Filters filters_of(const Problem& problem) {
  const infer::cuda::FilterGeometry& g = problem.geometry;
  infer::Filters filters{.format = {.method = ShiftMethod::kPs, .bits = kBits},
                         .shape = {problem.outputs, g.kernel_height, g.kernel_width, g.channels}};
  filters.codes.resize(problem.codes.size() / 2);
  for (size_t i = 0; i < problem.codes.size(); ++i) {
    filters.codes[i / 2] = static_cast<uint8_t>(filters.codes[i / 2] | problem.codes[i] << (4 * (i % 2)));
  }
  return filters;
}

/// Sums as they are, in 32 bits: y = (1 a + 0) >> 0.
FilterArguments arguments_of(const Problem& problem, const infer::cuda::FragmentOptions& options,
                             cuda::DeviceMemory& memory, void* sums) {
  const infer::cuda::FilterFragments fragments = infer::cuda::pack_fragments(filters_of(problem), options);
  const auto outputs = static_cast<size_t>(fragments.outputs);
  return {.geometry = problem.geometry,
          .tables = fragments.tables,
          .rescale = {.multiplier = memory.upload(std::vector<int32_t>(outputs, 1)),
                      .addend = memory.upload(std::vector<int64_t>(outputs, 0)),
                      .shift = memory.upload(std::vector<int32_t>(outputs, 0)),
                      .channels = problem.outputs,
                      .low = std::numeric_limits<int32_t>::min(),
                      .high = std::numeric_limits<int32_t>::max()},
          .output = sums,
          .output_type = DType::kI32,
          .output_channels = problem.outputs,
          .weights = memory.upload(fragments.words),
          .depth_blocks = fragments.depth_blocks,
          .outputs = fragments.outputs};
}

/// Every tile, with the depth whole and in parts, unless there are thread blocks enough.
void add_tiles(FilterArguments args, int multiprocessors, cuda::DeviceMemory& memory,
               std::vector<Start>& ways) {
  const int rows = args.geometry.rows();
  const int steps = args.depth_blocks * infer::cuda::kBlockDepth / cuda::kDepthGranularity;
  args.partial_sums =
      memory.zeros(static_cast<size_t>(rows) * static_cast<size_t>(args.outputs) * sizeof(int32_t));
  args.tickets = static_cast<uint32_t*>(
      memory.zeros(size_t{parts(rows, 16)} * parts(args.outputs, 64) * sizeof(uint32_t)));
  for (const FilterTile tile : cuda::kFilterTiles) {
    const cuda::TileShape shape = cuda::tile_shape(tile, false);
    const auto tiles =
        int64_t{parts(rows, shape.tile_rows())} * parts(args.output_channels, shape.tile_columns());
    for (const int splits : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}) {
      if (splits > 1 && (splits > steps || tiles * splits > int64_t{8} * multiprocessors)) break;
      ways.push_back([=](cudaStream_t stream) {
        cuda::run_filter(args, kBits, DType::kU8, {.tile = tile, .splits = splits}, stream);
      });
    }
  }
}

void add_few_rows(const FilterArguments& args, int device, std::vector<Start>& ways) {
  if (!cuda::takes_few_rows(args.geometry, DType::kU8, device)) return;
  const int steps = args.depth_blocks * infer::cuda::kBlockDepth / cuda::kDepthGranularity;
  for (const int stripes : {1, 2}) {
    for (const int splits : {1, 2, 4, 8}) {
      if (splits > steps) break;
      ways.push_back([=](cudaStream_t stream) {
        cuda::run_linear(args, kBits, DType::kU8, {.stripes = stripes, .splits = splits}, stream);
      });
    }
  }
}

/// An image of few channels as values of two bytes, which are not filled up to 16 channels.
void add_patches(const Problem& problem, cuda::DeviceMemory& memory, void* sums, std::vector<Start>& ways) {
  constexpr int kChannels = 4;
  const Problem filled = with_whole_channels(problem, kChannels);
  if (!cuda::takes_patches(filled.geometry, DType::kI16)) return;
  FilterArguments args = arguments_of(filled,
                                      {.channels = kChannels,
                                       .row_taps = cuda::kPatchTaps,
                                       .output_granularity = cuda::kOutputGranularity,
                                       .depth_granularity = infer::cuda::kBlockDepth},
                                      memory, sums);
  args.input = memory.upload(std::vector<int16_t>(filled.values.begin(), filled.values.end()));
  ways.push_back([=](cudaStream_t stream) { cuda::run_patch(args, kBits, stream); });
}

const Start& fastest(const std::vector<Start>& ways) {
  const auto time = [](const Start& start) {
    const auto work = [&](cudaStream_t stream) {
      for (int i = 0; i < kTriedStarts; ++i) start(stream);
    };
    return median_milliseconds(work, 3);
  };
  size_t best = 0;
  double best_time = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < ways.size(); ++i) {
    const double milliseconds = time(ways[i]);
    if (milliseconds < best_time) {
      best_time = milliseconds;
      best = i;
    }
  }
  return ways[best];
}

}  // namespace

Prepared prepare_tensor_cores(const Problem& problem, cuda::DeviceMemory& memory) {
  constexpr int kVector = 16;  // channels that are copied at a time
  const Problem filled = with_whole_channels(problem, kVector);
  const auto count = static_cast<size_t>(problem.geometry.rows()) * static_cast<size_t>(problem.outputs);
  void* sums = memory.allocate(count * sizeof(int32_t));
  FilterArguments args = arguments_of(filled,
                                      {.channels = filled.geometry.channels,
                                       .output_granularity = cuda::kOutputGranularity,
                                       .depth_granularity = cuda::kDepthGranularity},
                                      memory, sums);
  args.input = memory.upload(filled.values);
  const int device = memory.device().index;
  int multiprocessors = 0;
  cuda::check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
              "asking for multiprocessors");
  std::vector<Start> ways;
  add_tiles(args, multiprocessors, memory, ways);
  add_few_rows(args, device, ways);
  add_patches(problem, memory, sums, ways);
  return {.start = fastest(ways), .sums = sums};
}

}  // namespace ds::bench::ladder
