#include "core/profile.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>

#include "core/atomic_file.h"
#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/cpu/peaks.h"
#include "core/error.h"

namespace ds {
namespace {

using Clock = std::chrono::steady_clock;

// One type a row, to hang a name, a kernel and its work on.
#define DS_OP(name, arguments, cuda)                    \
  struct Op_##name {                                    \
    static constexpr std::string_view kName = #name;    \
    static constexpr auto kKernel = &KernelTable::name; \
  };
#include "core/ops.def"
#undef DS_OP

enum class OpIndex : size_t {
#define DS_OP(name, arguments, cuda) name,
#include "core/ops.def"
#undef DS_OP
  kCount
};
constexpr auto kOps = static_cast<size_t>(OpIndex::kCount);

template <class Op>
struct IndexOf;
#define DS_OP(name, arguments, cuda)                                     \
  template <>                                                            \
  struct IndexOf<Op_##name> {                                            \
    static constexpr size_t kValue = static_cast<size_t>(OpIndex::name); \
  };
#include "core/ops.def"
#undef DS_OP

// ---- Work

template <class Op>
struct Flops {
  template <class... A>
  static double of(const A&...) {
    return 0.0;
  }
};
double convolution_flops(const Tensor& outputs, const Tensor& weights) {
  return 2.0 * static_cast<double>(outputs.shape().rows()) * static_cast<double>(weights.numel());
}
template <>
struct Flops<Op_gemm> {
  static double of(const Tensor& a, const Tensor&, const GemmOptions& options, const Tensor& y) {
    return 2.0 * static_cast<double>(y.numel()) * static_cast<double>(a.size(options.transpose_a ? 0 : 1));
  }
};
template <>
struct Flops<Op_conv2d> {
  static double of(const Tensor&, const Tensor& w, const Tensor&, const Conv2dOptions&, const Tensor& y) {
    return convolution_flops(y, w);
  }
};
template <>
struct Flops<Op_conv2d_backward_data> {
  static double of(const Tensor& dy, const Tensor& w, const Conv2dOptions&, const Tensor&) {
    return convolution_flops(dy, w);
  }
};
template <>
struct Flops<Op_conv2d_backward_weight> {
  static double of(const Tensor& dy, const Tensor&, const Conv2dOptions&, const Tensor& dw) {
    return convolution_flops(dy, dw);
  }
};

double bytes_of(const Tensor& tensor) { return tensor.defined() ? static_cast<double>(tensor.bytes()) : 0.0; }
template <class T>
double bytes_of(const T&) {
  return 0.0;
}

std::string shape_of(const Tensor& tensor) { return tensor.defined() ? tensor.shape().str() : ""; }
template <class T>
std::string shape_of(const T&) {
  return "";
}

/// Of the first tensor that there is.
void find_device(const Tensor& tensor, std::optional<Device>& found) {
  if (!found && tensor.defined()) found = tensor.device();
}
template <class T>
void find_device(const T&, std::optional<Device>&) {}

// ---- Records

struct TracedCall {
  std::string_view name;
  std::string shape;  // of the first tensor
  double begin = 0.0;
  double seconds = 0.0;
};

struct Recorder {
  std::mutex mutex;
  Clock::time_point start = Clock::now();
  double seconds = 0.0;  // until it was stopped
  int64_t traced_calls = 0;
  bool on_cpu = true;  // all operations
  std::array<OpProfile, kOps> ops = {};
  std::vector<TracedCall> trace;
};

Recorder& recorder() {
  static Recorder one;
  return one;
}

std::atomic<bool> active{false};
thread_local int depth = 0;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

template <class Op>
void record(Device device, Clock::time_point begin, double flops, double bytes, const std::string& shape) {
  const double seconds = seconds_between(begin, Clock::now());
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  all.on_cpu = all.on_cpu && device.type == DeviceType::kCpu;
  OpProfile& op = all.ops[IndexOf<Op>::kValue];
  op.name = Op::kName;
  ++op.calls;
  op.seconds += seconds;
  op.flops += flops;
  op.bytes += bytes;
  if (static_cast<int64_t>(all.trace.size()) < all.traced_calls) {
    all.trace.push_back({Op::kName, shape, seconds_between(all.start, begin), seconds});
  }
}

/// The kernel of a row with a clock around it.
template <class Op, auto kKernel = Op::kKernel>
struct Timed;
template <class Op, class... A, void (*KernelTable::*kKernel)(A...)>
struct Timed<Op, kKernel> {
  static void call(A... arguments) {
    std::optional<Device> device;
    (find_device(arguments, device), ...);
    const Backend& of = backend(device.value_or(Device{}));
    if (depth == 0 && of.wait != nullptr) of.wait(device->index);  // for what was started before
    const Clock::time_point begin = Clock::now();
    ++depth;
    try {
      (of.kernels.*kKernel)(arguments...);
      if (of.wait != nullptr) of.wait(device->index);
    } catch (...) {
      --depth;
      throw;
    }
    if (--depth > 0) return;
    std::string shape;
    ((shape = shape.empty() ? shape_of(arguments) : shape), ...);
    record<Op>(device.value_or(Device{}), begin, Flops<Op>::of(arguments...),
               (0.0 + ... + bytes_of(arguments)), shape);
  }
};

constexpr KernelTable make_timed_table() {
  KernelTable table;
#define DS_OP(name, arguments, cuda) table.name = &Timed<Op_##name>::call;
#include "core/ops.def"
#undef DS_OP
  return table;
}
constexpr KernelTable kTimed = make_timed_table();

// ---- Report

/// What the machine reaches is known of the CPU alone.
std::string rate(double amount, double seconds, std::optional<double> peak) {
  const double per_second = 1e-9 * amount / seconds;
  return fmt::format("{:9.1f} {:>7}", per_second,
                     peak ? fmt::format("{:.0f} %", 100.0 * per_second / *peak) : "");
}

std::string row(const OpProfile& op, double total, const std::optional<cpu::Peaks>& peaks) {
  const std::string blank(17, ' ');
  const bool computes = op.flops > 0.0;
  const auto peak = [&](double cpu::Peaks::*which) {
    return peaks ? std::optional((*peaks).*which) : std::nullopt;
  };
  return fmt::format("{:<26} {:>8} {:9.3f} {:6.1f} % {}  {}\n", op.name, op.calls, op.seconds,
                     100.0 * op.seconds / total,
                     computes ? rate(op.flops, op.seconds, peak(&cpu::Peaks::gflops)) : blank,
                     computes ? "" : rate(op.bytes, op.seconds, peak(&cpu::Peaks::gbytes)));
}

}  // namespace

void start_profile(int64_t traced_calls) {
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  all.ops = {};
  all.trace.clear();
  all.traced_calls = traced_calls;
  all.on_cpu = true;
  all.start = Clock::now();
  active = true;
}

void stop_profile() {
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  if (active.exchange(false)) all.seconds = seconds_between(all.start, Clock::now());
}

const KernelTable* profiled_kernels() { return active.load(std::memory_order_relaxed) ? &kTimed : nullptr; }

std::vector<OpProfile> profile() {
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  std::vector<OpProfile> called;
  std::copy_if(all.ops.begin(), all.ops.end(), std::back_inserter(called),
               [](const OpProfile& op) { return op.calls > 0; });
  std::sort(called.begin(), called.end(),
            [](const OpProfile& a, const OpProfile& b) { return a.seconds > b.seconds; });
  return called;
}

std::string profile_report() {
  stop_profile();
  std::optional<cpu::Peaks> peaks;
  if (recorder().on_cpu) peaks = cpu::measure_peaks();
  const double total = recorder().seconds;
  std::string text = fmt::format("{:<26} {:>8} {:>9} {:>8} {:>9} {:>7}  {:>9} {:>7}\n", "operation", "calls",
                                 "seconds", "share", "GFLOP/s", "of peak", "GB/s", "of peak");
  OpProfile rest{.name = "everything else", .calls = 0, .seconds = total};
  for (const OpProfile& op : profile()) {
    text += row(op, total, peaks);
    rest.seconds -= op.seconds;
  }
  text += fmt::format("{:<26} {:>8} {:9.3f} {:6.1f} %\n", rest.name, "", rest.seconds,
                      100.0 * rest.seconds / total);
  text += fmt::format("{:<26} {:>8} {:9.3f}  100.0 %", "in all", "", total);
  if (!peaks) return text + "\n";
  text += fmt::format("   peaks, measured: {:.1f} GFLOP/s, {:.1f} GB/s\n\nconvolutions\n", peaks->gflops,
                      peaks->gbytes);
  for (const std::string& line : cpu::conv2d_plans()) text += "  " + line + "\n";
  return text;
}

void write_profile_trace(const std::string& path) {
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  std::string text = "{\"traceEvents\":[";
  for (const TracedCall& call : all.trace) {
    text += fmt::format(
        "{}\n{{\"name\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{:.3f},\"dur\":{:.3f},\"args\":{{"
        "\"shape\":\"{}\"}}}}",
        &call == all.trace.data() ? "" : ",", call.name, 1e6 * call.begin, 1e6 * call.seconds, call.shape);
  }
  write_file_atomically(path, text + "\n]}\n");
}

}  // namespace ds
