// How fast batches of CIFAR-like images are prepared: shuffled, cropped, flipped, normalised, batch 128, by
// workers.
//
//   bench_loader --benchmark_repetitions=5
//
// Beside a training step the workers share its processors: images/s of workers:0 is what one of them can do.
#include <benchmark/benchmark.h>

#include "bench/run.h"
#include "data/loader.h"
#include "data/synthetic.h"

namespace {

using namespace ds;

void load_epoch(benchmark::State& state) {
  static const Dataset images = make_synthetic({.train = 10000, .test = 10}).train;
  DataLoader loader(images, {.batch = 128,
                             .shuffle = true,
                             .workers = static_cast<int>(state.range(0)),
                             .augment = {random_crop(32, 4), random_flip()}});
  for (auto _ : state) {
    for (const Batch& batch : loader) benchmark::DoNotOptimize(batch.images.raw());
  }
  state.counters["images/s"] = benchmark::Counter(static_cast<double>(images.size() * state.iterations()),
                                                  benchmark::Counter::kIsRate);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [] {
    benchmark::RegisterBenchmark("load_epoch", load_epoch)
        ->ArgName("workers")
        ->Arg(0)
        ->Arg(1)
        ->Arg(2)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  });
}
