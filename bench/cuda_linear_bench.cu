// Linear layers of small batches on a CUDA device: packed codes and bytes on our kernels, bf16 on cuBLASLt,
// in turn. Prints one JSON object a line; tools/device_check.sh makes the table.
//
// One graph runs a layer after the other over copies of its weights that together fill 256 MB, so that no
// cache holds them; the time is that of one layer. cuBLASLt takes the fastest of the algorithms that it
// suggests, ours the fastest of its ways.
#include <cublasLt.h>
#include <cuda_bf16.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "cuda/check.h"
#include "cuda/device_memory.h"
#include "cuda/filter.h"
#include "cuda/stream.h"

namespace {

using ds::cuda::check;
using ds::cuda::DeviceMemory;
using ds::cuda::Graph;
using ds::cuda::Stopwatch;
using ds::cuda::Stream;

constexpr size_t kRotated = size_t{256} << 20;
constexpr int kRuns = 20;
const ds::Device kDevice{.type = ds::DeviceType::kCuda};

void check_lt(cublasStatus_t status) {
  DS_CHECK(status == CUBLAS_STATUS_SUCCESS, "[cublasLt] {}", cublasLtGetStatusString(status));
}

/// Milliseconds of one call of `start(copy)`, the median over replays of a graph of a call a copy.
double time_copies(size_t copies, const std::function<void(size_t, cudaStream_t)>& start) {
  const Stream stream;
  const Graph replay(stream, [&] {
    for (size_t copy = 0; copy < copies; ++copy) start(copy, stream.get());
  });
  Stopwatch stopwatch(stream);
  std::vector<double> times;
  for (int run = 0; run <= kRuns; ++run) {
    const double milliseconds = stopwatch.time([&] { replay.start(stream); });
    if (run > 0) times.push_back(milliseconds / static_cast<double>(copies));  // the first warms up
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

struct Layer {
  int batch;
  int inputs;
  int outputs;
};

/// Drawn a million at a time: drawing every one would take longer than all that is measured.
template <class T, class Draw>
std::vector<T> drawn(size_t count, uint64_t seed, const Draw& draw) {
  constexpr size_t kDrawn = size_t{1} << 20;
  ds::Generator generator(seed);
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = i < kDrawn ? draw(generator) : values[i - kDrawn];
  return values;
}

/// Copies of a layer's packed codes that together fill kRotated bytes.
struct PackedWeights {
  DeviceMemory memory{kDevice};
  int bits;
  ds::infer::cuda::FilterFragments fragments;
  std::vector<const uint32_t*> copies;

  PackedWeights(int inputs, int outputs, int bits_) : bits(bits_) {
    const ds::ShiftFormat format{.method = ds::ShiftMethod::kPs, .bits = bits};
    ds::infer::Filters filters{.format = format, .shape = {outputs, inputs}};
    const auto count = static_cast<size_t>(outputs) * static_cast<size_t>(inputs);
    filters.codes = ds::pack(
        drawn<float>(count, 1, [](ds::Generator& g) { return static_cast<float>(g.below(3)) - 1.0F; }),
        format);
    fragments = ds::infer::cuda::pack_fragments(filters, {.channels = inputs,
                                                          .output_granularity = ds::cuda::kOutputGranularity,
                                                          .depth_granularity = ds::cuda::kDepthGranularity});
    const size_t needed = kRotated / bytes() + 1;
    while (copies.size() < needed) copies.push_back(memory.upload(fragments.words));
  }
  size_t bytes() const { return fragments.words.size() * sizeof(uint32_t); }
};

struct Fastest {
  double milliseconds = std::numeric_limits<double>::infinity();
  std::string way;
};

/// The shift-coded layer, by its fastest way.
Fastest time_packed(const Layer& layer, const PackedWeights& weights) {
  DeviceMemory memory(kDevice);
  const ds::infer::cuda::FilterFragments& fragments = weights.fragments;
  const int bits = weights.bits;
  const auto values = drawn<uint8_t>(static_cast<size_t>(layer.batch) * static_cast<size_t>(layer.inputs), 2,
                                     [](ds::Generator& g) { return static_cast<uint8_t>(g.below(256)); });
  const auto outputs = static_cast<size_t>(fragments.outputs);
  ds::cuda::FilterArguments args{
      .geometry = {.images = layer.batch, .channels = layer.inputs},
      .tables = fragments.tables,
      .rescale = {.multiplier = memory.upload(std::vector<int32_t>(outputs, 1)),
                  .addend = memory.upload(std::vector<int64_t>(outputs, 0)),
                  .shift = memory.upload(std::vector<int32_t>(outputs, 8)),
                  .channels = layer.outputs,
                  .high = 255},
      .input = memory.upload(values),
      .output = memory.allocate(static_cast<size_t>(layer.batch) * outputs),
      .output_channels = fragments.outputs,
      .depth_blocks = fragments.depth_blocks,
      .partial_sums = memory.zeros(static_cast<size_t>(layer.batch) * outputs * sizeof(int32_t)),
      .tickets = static_cast<uint32_t*>(memory.zeros(4096 * sizeof(uint32_t))),
      .outputs = fragments.outputs};
  Fastest best;
  const auto try_way = [&](const std::string& way, const std::function<void(cudaStream_t)>& start) {
    const double milliseconds = time_copies(weights.copies.size(), [&](size_t copy, cudaStream_t stream) {
      args.weights = weights.copies[copy];
      start(stream);
    });
    if (milliseconds < best.milliseconds) {
      best.milliseconds = milliseconds;
      best.way = way;
    }
  };
  constexpr ds::DType kInput = ds::DType::kU8;
  for (const ds::cuda::FilterTile tile : ds::cuda::kFilterTiles) {
    for (const int splits : {1, 2, 4, 8, 12, 16, 24, 32}) {
      try_way(fmt::format("tile {}, depth in {}", static_cast<int>(tile), splits), [&](cudaStream_t stream) {
        ds::cuda::run_filter(args, bits, kInput, {.tile = tile, .splits = splits}, stream);
      });
    }
  }
  if (!ds::cuda::takes_few_rows(args.geometry, kInput, kDevice.index)) return best;
  for (const int stripes : {1, 2}) {
    for (const int splits : {1, 2, 4, 8}) {
      try_way(fmt::format("few rows, {} outputs, depth in {}", 32 * stripes, splits),
              [&](cudaStream_t stream) {
                ds::cuda::run_linear(args, bits, kInput, {.stripes = stripes, .splits = splits}, stream);
              });
    }
  }
  return best;
}

/// outputs x batch = weights^T x values, as columns; bf16 in and out, sums of f32.
double time_bf16(const Layer& layer) {
  DeviceMemory memory(kDevice);
  const size_t count = static_cast<size_t>(layer.outputs) * static_cast<size_t>(layer.inputs);
  const auto draw = [](ds::Generator& g) {
    return __float2bfloat16(static_cast<float>(g.below(256)) / 128.0F - 1.0F);
  };
  const auto weights = drawn<__nv_bfloat16>(count, 3, draw);
  const auto values =
      drawn<__nv_bfloat16>(static_cast<size_t>(layer.batch) * static_cast<size_t>(layer.inputs), 4, draw);
  const size_t copies = kRotated / (count * 2) + 1;
  std::vector<const __nv_bfloat16*> all;
  for (size_t i = 0; i < copies; ++i) all.push_back(memory.upload(weights));
  const __nv_bfloat16* x = memory.upload(values);
  void* y = memory.allocate(static_cast<size_t>(layer.batch) * static_cast<size_t>(layer.outputs) * 2);
  constexpr size_t kWorkspace = size_t{64} << 20;
  void* workspace = memory.allocate(kWorkspace);
  cublasLtHandle_t handle = nullptr;
  check_lt(cublasLtCreate(&handle));
  cublasLtMatmulDesc_t operation = nullptr;
  check_lt(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check_lt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                          sizeof(transposed)));
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t c = nullptr;
  check_lt(cublasLtMatrixLayoutCreate(&a, CUDA_R_16BF, layer.inputs, layer.outputs, layer.inputs));
  check_lt(cublasLtMatrixLayoutCreate(&b, CUDA_R_16BF, layer.inputs, layer.batch, layer.inputs));
  check_lt(cublasLtMatrixLayoutCreate(&c, CUDA_R_16BF, layer.outputs, layer.batch, layer.outputs));
  cublasLtMatmulPreference_t preference = nullptr;
  check_lt(cublasLtMatmulPreferenceCreate(&preference));
  check_lt(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                &kWorkspace, sizeof(kWorkspace)));
  cublasLtMatmulHeuristicResult_t found[16];
  int suggested = 0;
  check_lt(cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, c, c, preference, 16, found, &suggested));
  double best = std::numeric_limits<double>::infinity();
  const float one = 1.0F;
  const float zero = 0.0F;
  for (int i = 0; i < suggested; ++i) {
    const double milliseconds = time_copies(copies, [&](size_t copy, cudaStream_t stream) {
      check_lt(cublasLtMatmul(handle, operation, &one, all[copy], a, x, b, &zero, y, c, y, c, &found[i].algo,
                              workspace, kWorkspace, stream));
    });
    best = std::min(best, milliseconds);
  }
  return best;
}

/// Bytes read and written a second by a copy of 256 MB.
double copy_bandwidth() {
  DeviceMemory memory(kDevice);
  void* from = memory.zeros(kRotated);
  void* to = memory.allocate(kRotated);
  const double milliseconds = time_copies(1, [&](size_t, cudaStream_t stream) {
    check(cudaMemcpyAsync(to, from, kRotated, cudaMemcpyDeviceToDevice, stream), "copying");
  });
  return 2.0 * static_cast<double>(kRotated) / milliseconds * 1e3;
}

void run() {
  const double peak = copy_bandwidth();
  fmt::print("{{\"copy_gigabytes_a_second\": {:.1f}}}\n", peak * 1e-9);
  for (const auto& [inputs, outputs] : {std::pair{4096, 4096}, std::pair{25088, 4096}}) {
    constexpr std::array kBatches = {1, 8, 16, 32};
    std::map<int, double> bf16;
    for (const int batch : kBatches) bf16[batch] = time_bf16({batch, inputs, outputs});
    for (const int bits : {4, 2}) {
      const PackedWeights weights(inputs, outputs, bits);
      for (const int batch : kBatches) {
        const Fastest packed = time_packed({batch, inputs, outputs}, weights);
        fmt::print(
            "{{\"inputs\": {}, \"outputs\": {}, \"batch\": {}, \"bits\": {}, \"packed_microseconds\": "
            "{:.3f}, \"bf16_microseconds\": {:.3f}, \"ratio\": {:.2f}, \"share_of_copy\": {:.3f}, \"way\": "
            "\"{}\"}}\n",
            inputs, outputs, batch, bits, packed.milliseconds * 1e3, bf16[batch] * 1e3,
            bf16[batch] / packed.milliseconds,
            static_cast<double>(weights.bytes()) / packed.milliseconds * 1e3 / peak, packed.way);
        std::fflush(stdout);
      }
    }
  }
}

}  // namespace

int main() {
  try {
    run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_cuda_linear: {}\n", error.what());
    return 1;
  }
  return 0;
}
