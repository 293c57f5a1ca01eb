// Latency of whole networks in inference: in float arithmetic with batch norm folded (infer/float_net.h), by
// engine (native, and openblas, the float baseline), and as integer nets (infer/cpu/cpu_net.h), by kind and
// bits of the weights (q4, ps4, ...), activations of 8 bits, normalised pixels of 16 (ps4_input8: 8);
// ps4_shifts by kernels that multiply nothing.
//
//   bench_inference --benchmark_filter=resnet18/batch:1/native
//
// Threads are DEEPSHIFT_THREADS, pinned. tools/compare_inference.py runs it against PyTorch.
#include <benchmark/benchmark.h>

#include "bench/run.h"
#include "bench/seeded_net.h"
#include "core/backend.h"
#include "core/parallel.h"
#include "core/random.h"
#include "infer/cpu/cpu_net.h"
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

void infer_integers(benchmark::State& state, const models::ModelEntry& entry,
                    const infer::CpuNetOptions& options, const ShiftFormat& format, int input_bits = 16) {
  const int64_t batch = options.batch;
  const infer::CpuNet net(bench::seeded_net(entry, format, input_bits), options);
  const Tensor images =
      Tensor::full({batch, entry.input[0], entry.input[1], entry.input[2]}, 100.0, DType::kU8);
  std::vector<int32_t> results(static_cast<size_t>(batch * net.net().result().shape.numel()));
  for (auto _ : state) net.run(images.data<uint8_t>(), batch, results.data());
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(batch * state.iterations()), benchmark::Counter::kIsRate);
}

template <class Body>
void add(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMillisecond)->UseRealTime();
}

void set_up() {
  pin_threads();
  for (const char* name : {"resnet18", "resnet50", "resnet20"}) {
    const models::ModelEntry& entry = models::find(name);
    for (const int64_t batch : {1, 8}) {
      for (const Engine engine : {Engine::kNative, Engine::kOpenBlas}) {
        add(fmt::format("{}/batch:{}/{}", name, batch, name_of(engine)),
            [=, &entry](benchmark::State& state) { infer_batch(state, entry, batch, engine); });
      }
      add(fmt::format("{}/batch:{}/ps4_shifts", name, batch), [=, &entry](benchmark::State& state) {
        infer_integers(state, entry, {.batch = batch, .shifts_only = true}, {ShiftMethod::kPs, 4});
      });
      add(fmt::format("{}/batch:{}/ps4_input8", name, batch), [=, &entry](benchmark::State& state) {
        infer_integers(state, entry, {.batch = batch}, {ShiftMethod::kPs, 4}, 8);
      });
      for (const ShiftMethod method : {ShiftMethod::kPs, ShiftMethod::kQ}) {
        for (int bits = kMinWeightBits; bits <= kMaxPackedBits; ++bits) {
          add(fmt::format("{}/batch:{}/{}{}", name, batch, name_of(method), bits),
              [=, &entry](benchmark::State& state) {
                infer_integers(state, entry, {.batch = batch}, {method, bits});
              });
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, set_up); }
