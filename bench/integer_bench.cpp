// Every convolution of a network (bench/shapes/*.txt) as a node of an integer net: u8 values, weights of 2 to
// 5 bits, rescaling and ReLU to u8; by oneDNN in 8 bits where it is installed, with its own rescaling and
// ReLU; and in f32: by the native engine as it does inference ("native") and by its direct kernels alone
// ("direct"), both with filters that stand ready and with ReLU, and by the OpenBLAS engine, without.
//
//   bench_integer --benchmark_filter='resnet18/batch:1/.*/(ps4|onednn)' --benchmark_repetitions=5
//
// Counters: GOP/s, counting two for a weight and output and none saved by padding; `layers`, how many
// convolutions of the network have this shape. Threads are DEEPSHIFT_THREADS, pinned.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>

#include "bench/layers.h"
#include "bench/onednn.h"
#include "bench/run.h"
#include "core/backend.h"
#include "core/cpu/conv2d/fused_conv2d.h"
#include "core/ops.h"
#include "core/parallel.h"
#include "infer/cpu/cpu_net.h"

namespace {

using namespace ds;
using bench::Layer;

/// Random weights of a format, seldom 2^0, as trained ones are. Those of large layers repeat: a prime number
/// is drawn, so that no two filters are the same.
std::vector<float> random_weights(int64_t count, const ShiftFormat& format) {
  constexpr size_t kDrawn = 65521;
  const int p_min = format.range().p_min;
  const auto places = static_cast<uint32_t>(std::max(1, -p_min));
  std::vector<float> weights(static_cast<size_t>(count));
  for (float& w : std::span(weights).first(std::min(weights.size(), kDrawn))) {
    const auto drawn = default_generator().below(2 * places);
    w = std::ldexp(drawn % 2 == 0 ? 1.0F : -1.0F, p_min + static_cast<int>(drawn / 2));
  }
  for (size_t i = kDrawn; i < weights.size(); ++i) weights[i] = weights[i - kDrawn];
  return weights;
}

bool is_linear(const cpu::Conv2dProblem& p) { return p.x[1] == 1 && p.x[2] == 1; }

constexpr size_t kLayer = 1;  // its step in the net of a convolution
constexpr size_t kLinearLayer = 2;

/// The pixels as they are, and one convolution, or linear layer, with ReLU. A single pixel is the result: to
/// hand out all would bring them into the first thread's cache, where no network's next layer wants them.
infer::IntegerNet net_of(const cpu::Conv2dProblem& p, const ShiftFormat& format) {
  using infer::Node;
  using infer::NodeKind;
  Node input{.kind = NodeKind::kInput, .shape = {p.x[1], p.x[2], p.x[3]}, .high = 255};
  const auto channels = static_cast<size_t>(p.x[3]);
  input.rescale = {.multiplier = std::vector<int32_t>(channels, 1),
                   .addend = std::vector<int64_t>(channels, 0),
                   .shift = std::vector<int32_t>(channels, 0)};
  Node node{.kind = NodeKind::kConv2d, .inputs = {0}, .shape = {p.y[1], p.y[2], p.y[3]}, .high = 255};
  node.convolution = p.options;
  node.filters = {.format = format, .shape = p.w, .codes = pack(random_weights(p.w.numel(), format), format)};
  const auto outputs = static_cast<size_t>(p.w[0]);
  node.rescale = {.multiplier = std::vector<int32_t>(outputs, 100),
                  .addend = std::vector<int64_t>(outputs, 0),
                  .shift = std::vector<int32_t>(outputs, 20)};
  // 5-bit codes reach 2^14: their sums lose bits first, as when they are lowered.
  if (format.bits == 5) node.rescale.pre_shift = 8;
  if (!is_linear(p)) {
    const Node pixel{.kind = NodeKind::kSubsample2d,
                     .inputs = {kLayer},
                     .shape = {1, 1, p.y[3]},
                     .format = node.format,
                     .stride = {p.y[1], p.y[2]}};
    return infer::IntegerNet({input, node, pixel});
  }
  const Node flat{.kind = NodeKind::kFlatten, .inputs = {0}, .shape = {p.x[3]}};
  node.kind = NodeKind::kLinear;
  node.inputs = {1};
  node.shape = {p.w[0]};
  node.filters.shape = {p.w[0], p.w[3]};
  return infer::IntegerNet({input, flat, node});
}

void count(benchmark::State& state, const Layer& layer, const cpu::Conv2dProblem& p) {
  const double operations = 2.0 * static_cast<double>(p.y.rows()) * static_cast<double>(p.w.numel());
  state.counters["GOP/s"] = benchmark::Counter(1e-9 * operations * static_cast<double>(state.iterations()),
                                               benchmark::Counter::kIsRate);
  state.counters["layers"] = static_cast<double>(layer.layers);
}

/// The net of the benchmark that runs: made once, though it is run with several numbers of iterations.
const infer::CpuNet& made_net(const std::string& name, const cpu::Conv2dProblem& p,
                              const ShiftFormat& format) {
  static std::string made;
  static std::unique_ptr<infer::CpuNet> net;
  if (made != name) {
    net = std::make_unique<infer::CpuNet>(net_of(p, format), infer::CpuNetOptions{.batch = p.x[0]});
    made = name;
  }
  return *net;
}

/// The time of the convolution alone.
void run_integers(benchmark::State& state, const std::string& name, const Layer& layer,
                  const cpu::Conv2dProblem& p, const ShiftFormat& format) {
  const infer::CpuNet& net = made_net(name, p, format);
  const Tensor pixels = Tensor::full(p.x, 100.0, DType::kU8);
  net.time_steps(pixels.data<uint8_t>(), p.x[0]);
  const size_t step = is_linear(p) ? kLinearLayer : kLayer;
  for (auto _ : state) state.SetIterationTime(net.time_steps(pixels.data<uint8_t>(), p.x[0])[step]);
  count(state, layer, p);
}

void run_calls(benchmark::State& state, const Layer& layer, const cpu::Conv2dProblem& p,
               const std::function<void()>& call) {
  if (!call) {
    state.SkipWithError("there is no such primitive");
    return;
  }
  call();
  for (auto _ : state) call();
  count(state, layer, p);
}

/// f32 by OpenBLAS: the comparison that the first users of DeepShift asked for.
std::function<void()> float_call(const cpu::Conv2dProblem& p) {
  set_engine(Engine::kOpenBlas);
  const bool linear = is_linear(p);
  const Tensor x = Tensor::full(linear ? Shape{p.x[0], p.x[3]} : p.x, 0.5);
  const Tensor w = Tensor::full(linear ? Shape{p.w[0], p.w[3]} : p.w, 0.5);
  if (linear) return [=] { ops::gemm(x, w, {.transpose_b = true}); };
  return [=] { ops::conv2d(x, w, {}, p.options); };
}

/// f32 by the native engine: whatever its plan chose, with ReLU.
std::function<void()> native_call(const cpu::Conv2dProblem& p) {
  set_engine(Engine::kNative);
  const Tensor w = Tensor::full(p.w, 0.5);
  const auto convolution =
      std::make_shared<cpu::FusedConv2d>(p.x, w, Tensor(), cpu::FusedConv2dOptions{p.options, 0.0F});
  return [convolution, x = Tensor::full(p.x, 0.5)] { (*convolution)(x); };
}

/// f32 by the direct kernels, with ReLU; none where a depthwise convolution has its own.
std::function<void()> direct_call(const cpu::Conv2dProblem& p) {
  set_engine(Engine::kNative);
  if (p.options.groups == p.x[3] && p.options.groups > 1) return {};
  const Tensor w = Tensor::full(p.w, 0.5);
  return
      [=, filters = cpu::pack_direct(w, {}, p.options.groups, Precision::kF32), x = Tensor::full(p.x, 0.5)] {
        Tensor y = Tensor::empty(p.y);
        cpu::conv2d_direct(x, filters, p.options, {.low = 0.0F}, y);
      };
}

template <class Body>
benchmark::internal::Benchmark* add(const std::string& name, const Body& body) {
  return benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMicrosecond);
}

void register_layer(const std::string& network, const Layer& layer, int64_t batch) {
  const cpu::Conv2dProblem p = bench::problem_of(layer, batch, cpu::Conv2dPass::kForward);
  const std::string name = fmt::format("{}/batch:{}/{}", network, batch, layer.name);
  for (const ShiftFormat& format : {ShiftFormat{ShiftMethod::kPs, 4}, ShiftFormat{ShiftMethod::kQ, 4},
                                    ShiftFormat{ShiftMethod::kPs, 5}, ShiftFormat{ShiftMethod::kPs, 2}}) {
    const std::string own = fmt::format("{}/{}{}", name, name_of(format.method), format.bits);
    add(own, [=](benchmark::State& state) { run_integers(state, own, layer, p, format); })->UseManualTime();
  }
  add(name + "/openblas", [=](benchmark::State& state) {
    run_calls(state, layer, p, float_call(p));
  })->UseRealTime();
  add(name + "/native", [=](benchmark::State& state) {
    run_calls(state, layer, p, native_call(p));
  })->UseRealTime();
  add(name + "/direct", [=](benchmark::State& state) {
    run_calls(state, layer, p, direct_call(p));
  })->UseRealTime();
  if (!bench::has_onednn()) return;
  add(name + "/onednn", [=](benchmark::State& state) {
    run_calls(state, layer, p, bench::onednn_integer_conv2d(p));
  })->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, [] {
    pin_threads();
    bench::for_layers({1, 8, 128}, register_layer);
  });
}
