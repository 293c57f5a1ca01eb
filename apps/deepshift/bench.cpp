#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/machine.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"
#include "core/cpu/kernels/select.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "infer/cpu/cpu_net.h"
#include "infer/cpu/kernels/select.h"
#include "infer/cpu/peak.h"
#include "infer/cuda/cuda_net.h"
#include "infer/integer_net_file.h"

namespace ds::apps {

namespace {

struct BenchOptions {
  std::string file;
  int64_t batch = 1;
  int64_t runs = 50;
  bool layers = false;
  std::string device = "cpu";
  MachineOptions machine;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string rate(int64_t operations, double seconds) {
  return operations == 0 ? ""
                         : fmt::format("{:8.1f} GOP/s", static_cast<double>(operations) / seconds * 1e-9);
}

/// The median time of each step over the runs.
std::vector<double> step_times(const infer::CpuNet& cpu, const Tensor& images, int64_t runs) {
  std::vector<std::vector<double>> times(cpu.steps().size());
  for (int64_t run = 0; run <= runs; ++run) {
    const std::vector<double> seconds = cpu.time_steps(images.data<uint8_t>(), images.size(0));
    for (size_t i = 0; run > 0 && i < seconds.size(); ++i)
      times[i].push_back(seconds[i]);  // the first warms up
  }
  std::vector<double> medians;
  medians.reserve(times.size());
  for (const std::vector<double>& step : times) medians.push_back(median(step));
  return medians;
}

/// The median time of whole runs.
double run_time(const infer::CpuNet& cpu, const Tensor& images, int64_t runs) {
  std::vector<double> times;
  std::vector<int32_t> results(static_cast<size_t>(images.size(0) * cpu.net().result().shape.numel()));
  for (int64_t run = 0; run <= runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    cpu.run(images.data<uint8_t>(), images.size(0), results.data());
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (run > 0) times.push_back(elapsed.count());
  }
  return median(times);
}

/// Replays on pixels that lie on the device.
int bench_on_cuda(const infer::IntegerNet& net, const BenchOptions& options, int device) {
  const infer::CudaNet cuda(net, {.batch = options.batch, .device = device});
  int64_t operations = 0;
  for (const infer::CpuStepInfo& step : infer::CpuNet(net).steps())
    operations += step.operations * options.batch;
  if (options.layers) {
    for (const infer::CudaStepInfo& step : cuda.steps()) {
      fmt::print("{:<28} {:<12} {:9.1f} us  {}\n", step.place, step.kind, step.microseconds, step.kernel);
    }
  }
  const double seconds = 1e-3 * median(cuda.time_runs(options.runs));
  fmt::print("{} images in {:.3f} ms, {:.1f} images/s, {}; CUDA device {}, one graph, median of {} runs\n",
             options.batch, seconds * 1e3, static_cast<double>(options.batch) / seconds,
             rate(operations, seconds), device, options.runs);
  const infer::CudaNet shifting(net, {.batch = options.batch, .device = device, .shifts_only = true});
  const double shifted = 1e-3 * median(shifting.time_runs(options.runs));
  fmt::print("by shifts and additions alone: {:.3f} ms, {}\n", shifted * 1e3, rate(operations, shifted));
  fmt::print("{} bytes of values, {} bytes of weights\n", cuda.arena_bytes(), cuda.weight_bytes());
  return kExitOk;
}

int bench_file(BenchOptions& options) {
  const Device device = parse_device(options.device);
  const infer::IntegerNet net = infer::load_integer_net(options.file);
  if (device.type == DeviceType::kCuda) {
    DS_CHECK(options.machine.threads == 0, "[bench] --threads is of the CPU, but --device is {}",
             options.device);
    return bench_on_cuda(net, options, device.index);
  }
  set_up_machine(options.machine);
  const infer::CpuNet cpu(net, {.batch = options.batch});
  const Shape& image = cpu.net().input();
  Tensor images = Tensor::empty({options.batch, image[0], image[1], image[2]}, DType::kU8);
  Generator generator(1);
  for (uint8_t& pixel : images.span<uint8_t>()) pixel = static_cast<uint8_t>(generator.below(256));
  const std::vector<infer::CpuStepInfo> steps = cpu.steps();
  int64_t operations = 0;
  for (const infer::CpuStepInfo& step : steps) operations += step.operations * options.batch;
  if (options.layers) {
    const std::vector<double> times = step_times(cpu, images, options.runs);
    for (size_t i = 0; i < steps.size(); ++i) {
      fmt::print("{:<28} {:<12} {:9.1f} us  {:<14}  {}\n", steps[i].place, steps[i].kind, times[i] * 1e6,
                 rate(steps[i].operations * options.batch, times[i]), steps[i].kernel);
    }
  }
  const double seconds = run_time(cpu, images, options.runs);
  fmt::print("{} images in {:.3f} ms, {:.1f} images/s, {}; {}, {} threads, median of {} runs\n",
             options.batch, seconds * 1e3, static_cast<double>(options.batch) / seconds,
             rate(operations, seconds), infer::integer_kernels().name, num_threads(), options.runs);
  const double shifting =
      run_time(infer::CpuNet(net, {.batch = options.batch, .shifts_only = true}), images, options.runs);
  fmt::print("by shifts and additions alone: {:.3f} ms, {}\n", shifting * 1e3, rate(operations, shifting));
  const double peak = infer::measure_byte_peak();
  fmt::print(
      "the kernel of bytes (up to 4 bits) reaches {:.1f} GOP/s in the first cache; the net {:.1f} % of it\n",
      peak, 100e-9 * static_cast<double>(operations) / seconds / peak);
  fmt::print("{} bytes of values, {} bytes of weights\n", cpu.arena_bytes(), cpu.weight_bytes());
  return kExitOk;
}

}  // namespace

Command bench_command(CLI::App& parent) {
  auto options = std::make_shared<BenchOptions>();
  BenchOptions& o = *options;
  CLI::App* app = parent.add_subcommand("bench", "Times an integer net on random pixels");
  app->add_option("file", o.file, "integer net, safetensors (deepshift lower)")->required();
  app->add_option("--batch-size", o.batch, "images at a time")->capture_default_str()->check(at_least(1));
  app->add_option("--runs", o.runs, "of which the median is taken")
      ->capture_default_str()
      ->check(at_least(1));
  app->add_flag("--layers", o.layers, "time every layer, too");
  app->add_option("--device", o.device, "cpu, cuda or cuda:<number>")->capture_default_str();
  add_threads(*app, o.machine.threads);
  return {app, [options] { return bench_file(*options); }};
}

}  // namespace ds::apps
