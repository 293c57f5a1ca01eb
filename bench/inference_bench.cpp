// Latency of whole networks in inference, batch norm folded (infer/float_net.h), by engine: native, and
// openblas, the float baseline.
//
//   bench_inference --benchmark_filter=resnet18/batch:1/native
//
// Threads are DEEPSHIFT_THREADS, pinned. tools/compare_inference.py runs it against PyTorch.
#include <benchmark/benchmark.h>

#include "core/backend.h"
#include "core/parallel.h"
#include "core/random.h"
#include "infer/float_net.h"
#include "models/registry.h"

namespace {

using namespace ds;

void infer_batch(benchmark::State& state, const models::ModelEntry& entry, int64_t batch, Engine engine) {
  set_engine(engine);
  manual_seed(1);
  const ModulePtr network = entry.make({.classes = 1000});
  network->eval();
  Tensor images = Tensor::empty({batch, entry.input[0], entry.input[1], entry.input[2]});
  fill_normal(images, 0.0, 1.0, default_generator());
  const infer::FloatNet net(trace(*network, images), {.batch = batch});
  net(images);  // fills the allocator's cache
  for (auto _ : state) benchmark::DoNotOptimize(net(images));
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(batch * state.iterations()), benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  ds::pin_threads();
  for (const char* name : {"resnet18", "resnet50", "resnet20"}) {
    const models::ModelEntry& entry = models::find(name);
    for (const int64_t batch : {1, 8}) {
      for (const Engine engine : {Engine::kNative, Engine::kOpenBlas}) {
        benchmark::RegisterBenchmark(
            fmt::format("{}/batch:{}/{}", name, batch, name_of(engine)).c_str(),
            [=, &entry](benchmark::State& state) { infer_batch(state, entry, batch, engine); })
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
