// From the kernel of the DeepShift paper to the fastest, a rung at a time: the convolutions and the linear
// layer of ResNet18 at 224x224. README.md explains the rungs. Prints one JSON object a line.
//
//   bench_cuda_ladder [--batch-size N] [--layers] [--check]
//
// Everything lies on the device before anything is timed; each layer has weights of its own, as in the
// network. All rungs give the same integers, which is checked: by a plain loop where layers are small, and
// by rung 2 otherwise.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/ladder/problem.h"
#include "bench/ladder/timing.h"

namespace {

using namespace ds::bench::ladder;
using ds::cuda::DeviceMemory;

constexpr int kRuns = 15;
constexpr int kLayerStarts = 10;
const ds::Device kDevice{.type = ds::DeviceType::kCuda};

struct Rung {
  const char* name;
  Prepared (*prepare)(const Problem&, DeviceMemory&);
};
constexpr Rung kRungs[] = {{"float", prepare_float},
                           {"shift", prepare_shift},
                           {"packed", prepare_packed},
                           {"implicit", prepare_implicit},
                           {"dot_product", prepare_dot_product},
                           {"tensor_cores", prepare_tensor_cores}};

template <class Value>
std::vector<Value> download(const Prepared& layer, size_t count) {
  std::vector<Value> values(count);
  ds::copy_bytes(values.data(), {}, layer.sums, kDevice, count * sizeof(Value));
  return values;
}

/// Floats count as they are: the sums of these layers stay below 2^24, where floats are exact.
template <class Value>
void check_values(const std::vector<Value>& values, const std::vector<int32_t>& expected, const Rung& rung,
                  const Problem& problem) {
  for (size_t i = 0; i < expected.size(); ++i) {
    DS_CHECK(values[i] == static_cast<Value>(expected[i]),
             "[ladder] rung {}, layer {}, batch {}: sum {} is {}, expected {}", rung.name, problem.name,
             problem.geometry.images, i, values[i], expected[i]);
  }
}

void check_sums(const Prepared& layer, const std::vector<int32_t>& expected, const Rung& rung,
                const Problem& problem) {
  if (layer.floats) {
    check_values(download<float>(layer, expected.size()), expected, rung, problem);
  } else {
    check_values(download<int32_t>(layer, expected.size()), expected, rung, problem);
  }
}

/// More than once: what a run leaves behind must not change the next one.
void run_again(const Prepared& layer) {
  median_milliseconds([&](cudaStream_t stream) { layer.start(stream); }, 1);
}

void check_small_layers() {
  for (const Problem& problem : small_problems()) {
    const std::vector<int32_t> expected = plain_sums(problem);
    for (const Rung& rung : kRungs) {
      DeviceMemory memory(kDevice);
      const Prepared layer = rung.prepare(problem, memory);
      run_again(layer);
      check_sums(layer, expected, rung, problem);
    }
  }
}

/// Those of rung 2, by layer.
std::vector<std::vector<int32_t>> expected_sums(const std::vector<Problem>& problems) {
  std::vector<std::vector<int32_t>> result;
  for (const Problem& problem : problems) {
    DeviceMemory memory(kDevice);
    const Prepared layer = prepare_shift(problem, memory);
    run_again(layer);
    const auto rows = static_cast<size_t>(problem.geometry.rows());
    result.push_back(download<int32_t>(layer, rows * static_cast<size_t>(problem.outputs)));
  }
  return result;
}

void print_layer(const Rung& rung, const Problem& problem, const Prepared& layer) {
  const auto work = [&](cudaStream_t stream) {
    for (int i = 0; i < kLayerStarts; ++i) layer.start(stream);
  };
  fmt::print("{{\"rung\": \"{}\", \"batch\": {}, \"layer\": \"{}\", \"milliseconds\": {:.5f}}}\n", rung.name,
             problem.geometry.images, problem.name, median_milliseconds(work, kRuns) / kLayerStarts);
}

/// Milliseconds of all layers of a rung, checked.
double time_rung(const Rung& rung, const std::vector<Problem>& problems,
                 const std::vector<std::vector<int32_t>>& expected, bool by_layer) {
  DeviceMemory memory(kDevice);
  std::vector<Prepared> layers;
  std::vector<size_t> shapes;  // of the layers
  for (size_t shape = 0; shape < problems.size(); ++shape) {
    for (int i = 0; i < problems[shape].layers; ++i) {
      layers.push_back(rung.prepare(problems[shape], memory));
      shapes.push_back(shape);
    }
  }
  const auto work = [&](cudaStream_t stream) {
    for (const Prepared& layer : layers) layer.start(stream);
  };
  const double milliseconds = median_milliseconds(work, kRuns);
  for (size_t i = 0; i < layers.size(); ++i) {
    check_sums(layers[i], expected[shapes[i]], rung, problems[shapes[i]]);
    const bool is_first = i == 0 || shapes[i] != shapes[i - 1];
    if (by_layer && is_first) print_layer(rung, problems[shapes[i]], layers[i]);
  }
  return milliseconds;
}

struct Options {
  std::vector<int> batches = {1, 16};
  bool by_layer = false;
  bool check_only = false;
};

Options parse(int count, char** arguments) {
  constexpr int kLargestBatch = 64;  // that the grids of rungs 1 to 3 hold
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view option = arguments[i];
    if (option == "--layers") {
      options.by_layer = true;
    } else if (option == "--check") {
      options.check_only = true;
    } else if (option == "--batch-size" && i + 1 < count) {
      const int batch = std::atoi(arguments[++i]);
      DS_CHECK(batch >= 1 && batch <= kLargestBatch, "--batch-size {}: expected 1 to {}", arguments[i],
               kLargestBatch);
      options.batches = {batch};
    } else {
      DS_CHECK(false, "{}: expected --batch-size N, --layers or --check", option);
    }
  }
  return options;
}

void run(const Options& options) {
  check_small_layers();
  fmt::print("{{\"small_layers\": \"as a plain loop, on all rungs\"}}\n");
  if (options.check_only) return;
  for (const int batch : options.batches) {
    const std::vector<Problem> problems = resnet18(batch);
    const auto expected = expected_sums(problems);
    double first = 0.0;
    for (const Rung& rung : kRungs) {
      const double milliseconds = time_rung(rung, problems, expected, options.by_layer);
      if (first == 0.0) first = milliseconds;
      fmt::print("{{\"rung\": \"{}\", \"batch\": {}, \"milliseconds\": {:.4f}, \"times_first\": {:.2f}}}\n",
                 rung.name, batch, milliseconds, first / milliseconds);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    run(parse(count, arguments));
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_cuda_ladder: {}\n", error.what());
    return 1;
  }
  return 0;
}
