// Every convolution of a network (bench/shapes/*.txt), forward and both backward passes, by each engine, f32.
//
//   bench_conv2d --benchmark_filter='resnet20/batch:128/.*/(openblas|native)' --benchmark_repetitions=5
//
// Counters: GFLOP/s, counting two for a multiply-accumulate and none saved by padding; `layers`, how many
// convolutions of the network have this shape. Threads are DEEPSHIFT_THREADS, pinned.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/backend.h"
#include "core/ops.h"
#include "core/parallel.h"

namespace {

using namespace ds;

struct Layer {
  std::string name;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t outputs = 0;
  int64_t kernel = 0;
  int64_t layers = 0;
  Conv2dOptions options;
};

std::vector<Layer> read_layers(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Layer> layers;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    Layer layer;
    int64_t stride = 0;
    int64_t padding = 0;
    fields >> layer.name >> layer.height >> layer.width >> layer.channels >> layer.outputs >> layer.kernel >>
        stride >> padding >> layer.options.groups >> layer.layers;
    DS_CHECK(fields, "[bench] {}: \"{}\", expected a name and nine numbers", path.string(), line);
    layer.options.stride = stride;
    layer.options.padding = padding;
    layers.push_back(layer);
  }
  return layers;
}

enum class Pass { kForward, kBackwardData, kBackwardWeight };

Tensor random_tensor(const Shape& shape) {
  Tensor result = Tensor::empty(shape);
  fill_normal(result, 0.0, 1.0, default_generator());
  return result;
}

void convolve(benchmark::State& state, const Layer& layer, int64_t batch, Pass pass, Engine engine) {
  set_engine(engine);
  const Tensor x = random_tensor({batch, layer.height, layer.width, layer.channels});
  const Tensor w =
      random_tensor({layer.outputs, layer.kernel, layer.kernel, layer.channels / layer.options.groups});
  const Tensor dy = random_tensor(ops::conv2d_shape(x.shape(), w.shape(), layer.options));
  for (auto _ : state) {
    switch (pass) {
      case Pass::kForward: ops::conv2d(x, w, {}, layer.options); break;
      case Pass::kBackwardData: ops::conv2d_backward_data(dy, w, x.shape(), layer.options); break;
      case Pass::kBackwardWeight: ops::conv2d_backward_weight(dy, x, w.shape(), layer.options); break;
    }
  }
  const double operations = 2.0 * static_cast<double>(dy.shape().rows()) * static_cast<double>(w.numel());
  state.counters["GFLOP/s"] = benchmark::Counter(1e-9 * operations * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
  state.counters["layers"] = static_cast<double>(layer.layers);
}

void register_layer(const std::string& network, const Layer& layer, int64_t batch) {
  constexpr std::pair<const char*, Pass> kPasses[] = {{"forward", Pass::kForward},
                                                      {"backward_data", Pass::kBackwardData},
                                                      {"backward_weight", Pass::kBackwardWeight}};
  for (const auto& pass : kPasses) {
    for (const Engine engine : kEngines) {
      const std::string name =
          fmt::format("{}/batch:{}/{}/{}/{}", network, batch, layer.name, pass.first, name_of(engine));
      const Pass which = pass.second;
      benchmark::RegisterBenchmark(
          name.c_str(), [=](benchmark::State& state) { convolve(state, layer, batch, which, engine); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  pin_threads();
  for (const char* network : {"resnet20", "resnet18_cifar"}) {
    const auto path = std::filesystem::path(DEEPSHIFT_BENCH_SHAPES) / fmt::format("{}.txt", network);
    for (const int64_t batch : {1, 128}) {
      for (const Layer& layer : read_layers(path)) register_layer(network, layer, batch);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
