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
#include <cstdio>
#include <functional>
#include <limits>
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

/// The shift-coded layer, by its fastest way.
double time_packed(const Layer& layer, int bits, size_t& weight_bytes) {
  DeviceMemory memory(kDevice);
  ds::Generator generator(1);
  const ds::ShiftFormat format{.method = ds::ShiftMethod::kPs, .bits = bits};
  ds::infer::Filters filters{.format = format, .shape = {layer.outputs, layer.inputs}};
  const auto count = static_cast<int64_t>(layer.outputs) * layer.inputs;
  std::vector<float> weights(static_cast<size_t>(count));
  for (float& w : weights) w = static_cast<float>(generator.below(3)) - 1.0F;
  filters.codes = ds::pack(weights, format);
  const auto fragments =
      ds::infer::cuda::pack_fragments(filters, {.channels = layer.inputs,
                                                .output_granularity = ds::cuda::kOutputGranularity,
                                                .depth_granularity = ds::cuda::kDepthGranularity});
  weight_bytes = fragments.words.size() * sizeof(uint32_t);
  const size_t copies = kRotated / weight_bytes + 1;
  std::vector<const uint32_t*> words;
  for (size_t i = 0; i < copies; ++i) words.push_back(memory.upload(fragments.words));
  std::vector<uint8_t> values(static_cast<size_t>(layer.batch) * static_cast<size_t>(layer.inputs));
  for (uint8_t& value : values) value = static_cast<uint8_t>(generator.below(256));
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
  double best = std::numeric_limits<double>::infinity();
  for (const ds::cuda::FilterTile tile : ds::cuda::kFilterTiles) {
    for (const int splits : {1, 2, 4, 8, 12, 16, 24, 32}) {
      const double milliseconds = time_copies(copies, [&](size_t copy, cudaStream_t stream) {
        args.weights = words[copy];
        ds::cuda::run_filter(args, bits, ds::DType::kU8, {.tile = tile, .splits = splits}, stream);
      });
      best = std::min(best, milliseconds);
    }
  }
  return best;
}

/// outputs x batch = weights^T x values, as columns; bf16 in and out, sums of f32.
double time_bf16(const Layer& layer) {
  DeviceMemory memory(kDevice);
  ds::Generator generator(2);
  const size_t count = static_cast<size_t>(layer.outputs) * static_cast<size_t>(layer.inputs);
  std::vector<__nv_bfloat16> weights(count);
  for (__nv_bfloat16& w : weights)
    w = __float2bfloat16(static_cast<float>(generator.below(256)) / 128.0F - 1.0F);
  std::vector<__nv_bfloat16> values(static_cast<size_t>(layer.batch) * static_cast<size_t>(layer.inputs));
  for (__nv_bfloat16& x : values) x = __float2bfloat16(static_cast<float>(generator.below(256)) / 256.0F);
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
    for (const int batch : {1, 8, 32}) {
      const Layer layer{batch, inputs, outputs};
      const double bf16 = time_bf16(layer);
      for (const int bits : {4, 2}) {
        size_t bytes = 0;
        const double packed = time_packed(layer, bits, bytes);
        fmt::print(
            "{{\"inputs\": {}, \"outputs\": {}, \"batch\": {}, \"bits\": {}, \"packed_microseconds\": "
            "{:.3f}, "
            "\"bf16_microseconds\": {:.3f}, \"ratio\": {:.2f}, \"share_of_copy\": {:.3f}}}\n",
            inputs, outputs, batch, bits, packed * 1e3, bf16 * 1e3, bf16 / packed,
            static_cast<double>(bytes) / packed * 1e3 / peak);
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
