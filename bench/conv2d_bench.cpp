// Every convolution of a network (bench/shapes/*.txt), forward and both backward passes, by each engine and
// by oneDNN where it is installed, f32.
//
//   bench_conv2d --benchmark_filter='resnet20/batch:128/.*/(onednn|native)' --benchmark_repetitions=5
//
// "packed" is the native forward pass of inference, whose filters were packed before
// (core/cpu/conv2d/fused_conv2d.h), as oneDNN's are. "bf16" is native with products of bf16, where the
// processor has them. Counters: GFLOP/s, counting two for a multiply-accumulate and none saved by padding;
// `layers`, how many convolutions of the network have this shape. Threads are DEEPSHIFT_THREADS, pinned.
#include <benchmark/benchmark.h>

#include "bench/layers.h"
#include "bench/onednn.h"
#include "bench/run.h"
#include "core/backend.h"
#include "core/cpu/conv2d/fused_conv2d.h"
#include "core/cpu/kernels/select.h"
#include "core/ops.h"
#include "core/parallel.h"

namespace {

using namespace ds;

using bench::Layer;
using bench::problem_of;
using cpu::Conv2dPass;

Tensor random_tensor(const Shape& shape) {
  Tensor result = Tensor::empty(shape);
  fill_normal(result, 0.0, 1.0, default_generator());
  return result;
}

/// Calls it as often as the benchmark asks, and counts.
void measure(benchmark::State& state, const Layer& layer, const cpu::Conv2dProblem& problem,
             const std::function<void()>& call) {
  for (auto _ : state) call();
  const double operations =
      2.0 * static_cast<double>(problem.y.rows()) * static_cast<double>(problem.w.numel());
  state.counters["GFLOP/s"] = benchmark::Counter(1e-9 * operations * static_cast<double>(state.iterations()),
                                                 benchmark::Counter::kIsRate);
  state.counters["layers"] = static_cast<double>(layer.layers);
}

std::function<void()> our_call(const cpu::Conv2dProblem& p) {
  const Tensor x = random_tensor(p.x);
  const Tensor w = random_tensor(p.w);
  const Tensor dy = random_tensor(p.y);
  switch (p.pass) {
    case Conv2dPass::kForward: return [=] { ops::conv2d(x, w, {}, p.options); };
    case Conv2dPass::kBackwardData: return [=] { ops::conv2d_backward_data(dy, w, p.x, p.options); };
    case Conv2dPass::kBackwardWeight: return [=] { ops::conv2d_backward_weight(dy, x, p.w, p.options); };
  }
  return {};
}

std::function<void()> packed_call(const cpu::Conv2dProblem& p) {
  const auto convolution = std::make_shared<cpu::FusedConv2d>(p.x, random_tensor(p.w), Tensor(),
                                                              cpu::FusedConv2dOptions{p.options});
  return [convolution, x = random_tensor(p.x)] { (*convolution)(x); };
}

void register_case(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond)->UseRealTime();
}

void register_layer(const std::string& network, const Layer& layer, int64_t batch) {
  for (const auto pass : {Conv2dPass::kForward, Conv2dPass::kBackwardData, Conv2dPass::kBackwardWeight}) {
    const cpu::Conv2dProblem problem = problem_of(layer, batch, pass);
    const std::string name = fmt::format("{}/batch:{}/{}/{}", network, batch, layer.name, cpu::name_of(pass));
    for (const Engine engine : kEngines) {
      register_case(fmt::format("{}/{}", name, name_of(engine)), [=](benchmark::State& state) {
        set_engine(engine);
        set_precision(Precision::kF32);
        measure(state, layer, problem, our_call(problem));
      });
    }
    if (cpu::has_bf16_instructions()) {
      register_case(name + "/bf16", [=](benchmark::State& state) {
        set_engine(Engine::kNative);
        set_precision(Precision::kBf16);
        measure(state, layer, problem, our_call(problem));
      });
    }
    if (pass == Conv2dPass::kForward) {
      register_case(name + "/packed", [=](benchmark::State& state) {
        set_engine(Engine::kNative);
        set_precision(Precision::kF32);
        measure(state, layer, problem, packed_call(problem));
      });
    }
    if (!bench::has_onednn()) continue;
    register_case(name + "/onednn", [=](benchmark::State& state) {
      const auto call = bench::onednn_conv2d(problem);
      if (call) {
        measure(state, layer, problem, call);
      } else {
        state.SkipWithError("oneDNN has no such primitive");
      }
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [] {
    pin_threads();
    bench::for_layers({1, 128}, register_layer);
  });
}
