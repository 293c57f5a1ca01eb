#include "core/cpu/peaks.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

constexpr int kRuns = 5;

double measure_gflops() {
  constexpr int64_t kChannels = 128;
  constexpr int64_t kRepeats = 20000;
  const DirectKernels& kernels = direct_kernels();
  const int64_t width = int64_t{kDirectMaxVectors} * kernels.lanes;
  const int64_t pixels = kernels.max_pixels[kDirectMaxVectors - 1];
  const int64_t chunks = int64_t{8} * num_threads();
  const double seconds = best_seconds([&] {
    parallel_chunks(chunks, [&](int64_t) {
      const Tensor x = Tensor::full({pixels * kChannels}, 0.5);
      const Tensor w = Tensor::full({kChannels * width}, 0.5);
      Tensor y = Tensor::empty({pixels * width});
      const DirectTap tap{.x = 0, .w = 0};
      const DirectTile tile{.x = x.data<float>(),
                            .x_pitch = kChannels,
                            .tap = &tap,
                            .taps = 1,
                            .channels = kChannels,
                            .w = w.data<float>(),
                            .bias = nullptr,
                            .y = y.data<float>(),
                            .y_pitch = width,
                            .outputs = width,
                            .ahead = x.data<float>()};
      for (int64_t i = 0; i < kRepeats / chunks; ++i) kernels.tile[kDirectMaxVectors - 1][pixels - 1](tile);
    });
  });
  const int64_t repeats = kRepeats / chunks * chunks;
  return 2e-9 * static_cast<double>(repeats * pixels * width * kChannels) / seconds;
}

double measure_gbytes() {
  constexpr int64_t kFloats = int64_t{64} << 20;
  constexpr int64_t kGrain = int64_t{1} << 18;
  const Tensor memory = Tensor::full({kFloats}, 1.0);
  std::vector<float> sums(static_cast<size_t>(chunk_count(kFloats, kGrain)));
  const double seconds = best_seconds([&] {
    parallel_for(kFloats, kGrain, [&](int64_t begin, int64_t end) {
      constexpr int64_t kSums = 64;  // independent, so that the loop reads as fast as it can
      float partial[kSums] = {};
      const float* values = memory.data<float>();
      for (int64_t i = begin; i < end; i += kSums) {
        for (int64_t k = 0; k < kSums; ++k) partial[k] += values[i + k];
      }
      for (const float value : partial) sums[static_cast<size_t>(begin / kGrain)] += value;
    });
  });
  return 1e-9 * static_cast<double>(memory.bytes()) / seconds;
}

}  // namespace

double best_seconds(const std::function<void()>& body) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < kRuns; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

Peaks measure_peaks() { return {.gflops = measure_gflops(), .gbytes = measure_gbytes()}; }

}  // namespace ds::cpu
