// A whole training step of CIFAR networks, batch 128, by method, as the trainers take it: forward, loss (with
// the decay of P for ps), backward, norm of the gradient, optimizer (SGD; RAdam for ps).
//
//   bench_train_step --benchmark_filter=resnet20/q --benchmark_repetitions=5
//
// float_bf16, where the processor has AVX512-BF16: float weights, products of convolutions in bf16.
//
// peak_MiB is the highest resident set of the process less that before the network was made: of use with one
// case a process. Threads are DEEPSHIFT_THREADS, pinned. tools/compare_training.py runs it against PyTorch.
#include <benchmark/benchmark.h>

#include <fstream>
#include <limits>
#include <memory>

#include "autograd/functions.h"
#include "autograd/optim/grad_clip.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"
#include "bench/run.h"
#include "core/backend.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/random.h"
#include "layers/convert.h"
#include "models/registry.h"

namespace {

using namespace ds;

constexpr int64_t kBatch = 128;
constexpr int64_t kClasses = 10;
constexpr double kWeightDecay = 1e-4;

enum class Method { kFloat, kQ, kPs };

ModulePtr make_network(const std::string& name, Method method) {
  ModulePtr network = models::make(name, {.classes = kClasses});
  if (method != Method::kFloat) {
    convert_to_shift(*network, {.method = method == Method::kQ ? ShiftMethod::kQ : ShiftMethod::kPs});
  }
  network->train();
  return network;
}

std::unique_ptr<Optimizer> make_optimizer(const Module& network, Method method) {
  if (method == Method::kPs) return std::make_unique<RAdam>(network.parameters(), RAdamOptions{.lr = 1e-3});
  return std::make_unique<Sgd>(network.parameters(),
                               SgdOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = kWeightDecay});
}

/// VmRSS (now) or VmHWM (the most so far) of this process, in MiB; 0 where the system does not say.
double resident(const std::string& kind) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kibibytes = 0.0;
    if (word == kind + ":" && status >> kibibytes) return kibibytes / 1024.0;
  }
  return 0.0;
}

void train_step(benchmark::State& state, const std::string& name, Method method, double before) {
  manual_seed(1);
  const ModulePtr network = make_network(name, method);
  Tensor images = Tensor::empty(Shape{kBatch, 32, 32, 3});
  fill_normal(images, 0.0, 1.0, default_generator());
  std::vector<int64_t> labels(kBatch);
  for (int64_t& label : labels) label = default_generator().below(kClasses);
  const Tensor targets = Tensor::from(labels, Shape{kBatch});
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(*network, method);

  const auto step = [&] {
    optimizer->zero_grad();
    const Variable loss = cross_entropy((*network)(images), targets);
    const Variable decay = decay_loss(*network, kWeightDecay);
    (decay.defined() ? loss + decay : loss).backward();
    benchmark::DoNotOptimize(clip_grad_norm(network->parameters(), std::numeric_limits<double>::max()));
    optimizer->step();
    benchmark::DoNotOptimize(loss.item());
  };
  step();  // the first step fills the allocator's cache
  for (auto _ : state) step();
  state.counters["peak_MiB"] = resident("VmHWM") - before;
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(kBatch * state.iterations()), benchmark::Counter::kIsRate);
}

void register_case(const std::string& network, const char* variant, Method method, Precision precision,
                   double before) {
  benchmark::RegisterBenchmark((network + "/" + variant).c_str(),
                               [=](benchmark::State& state) {
                                 set_precision(precision);
                                 train_step(state, network, method, before);
                               })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

void register_network(const std::string& name, double before) {
  register_case(name, "float", Method::kFloat, Precision::kF32, before);
  register_case(name, "q", Method::kQ, Precision::kF32, before);
  register_case(name, "ps", Method::kPs, Precision::kF32, before);
  if (cpu::has_bf16_instructions())
    register_case(name, "float_bf16", Method::kFloat, Precision::kBf16, before);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [] {
    pin_threads();
    const double before =
        resident("VmRSS");  // a benchmark's function runs more than once, with memory cached
    for (const char* name : {"resnet20", "resnet18_cifar", "mobilenet_v2_cifar"})
      register_network(name, before);
  });
}
