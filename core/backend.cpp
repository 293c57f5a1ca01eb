#include "core/backend.h"

#include <atomic>
#include <cstdlib>

#include <fmt/ranges.h>

#include "core/cpu/kernels/select.h"
#include "core/error.h"
#include "core/profile.h"

namespace ds {
namespace {

std::atomic<Engine>& engine_in_use() {
  static std::atomic<Engine> current = [] {
    const char* text = std::getenv("DEEPSHIFT_ENGINE");
    return text == nullptr ? Engine::kNative : parse_engine(text);
  }();
  return current;
}

std::atomic<Precision>& precision_in_use() {
  static std::atomic<Precision> current{Precision::kF32};
  return current;
}

// Whether any row of the list has a CUDA kernel: without, a GPU can hold tensors but compute nothing.
enum class CudaColumn : uint8_t { kCpuOnly, kCudaKernel };
constexpr bool any_cuda_kernel() {
  bool any = false;
#define DS_OP(name, arguments, cuda) any = any || CudaColumn::cuda == CudaColumn::kCudaKernel;
#include "core/ops.def"
#undef DS_OP
  return any;
}

}  // namespace

const Backend& backend(Device device) {
  if (device.type == DeviceType::kCpu) return cpu::kBackend;
  DS_CHECK(cuda::kBackend != nullptr,
           "[device] {}: this build has no CUDA (configure with -DDEEPSHIFT_CUDA=ON)", device.str());
  DS_CHECK(cuda::device_count() > 0, "[device] {}: no CUDA device was found{}{}", device.str(),
           cuda::why_none().empty() ? "" : ": ", cuda::why_none());
  DS_CHECK(device.index < cuda::device_count(), "[device] {}: {} CUDA devices were found", device.str(),
           cuda::device_count());
  return *cuda::kBackend;
}

const KernelTable& kernels(Device device) {
  const KernelTable* measuring = profiled_kernels();
  return measuring != nullptr ? *measuring : backend(device).kernels;
}

void copy_bytes(void* target, Device target_device, const void* source, Device source_device, size_t bytes) {
  if (bytes == 0) return;
  if (source_device == target_device) {
    backend(target_device).copy_within(target, source, bytes, target_device.index);
  } else if (source_device == Device{}) {
    backend(target_device).copy_from_host(target, source, bytes, target_device.index);
  } else if (target_device == Device{}) {
    backend(source_device).copy_to_host(target, source, bytes, source_device.index);
  } else {  // between two GPUs: through the host
    const auto host = Buffer::allocate(bytes, Device{});
    backend(source_device).copy_to_host(host->data(), source, bytes, source_device.index);
    backend(target_device).copy_from_host(target, host->data(), bytes, target_device.index);
  }
}

Tensor upload(const Tensor& tensor, Device device) {
  if (device == tensor.device()) return tensor;
  Tensor result = Tensor::empty(tensor.shape(), tensor.dtype(), device);
  if (tensor.numel() > 0) backend(device).upload(result.raw(), tensor.raw(), tensor.bytes(), device.index);
  return result;
}

Device best_device() {
  return any_cuda_kernel() && cuda_device_count() > 0 ? Device{.type = DeviceType::kCuda} : Device{};
}

int cuda_device_count() { return cuda::device_count(); }

std::string_view name_of(Engine engine) {
  switch (engine) {
    case Engine::kReference: return "reference";
    case Engine::kOpenBlas: return "openblas";
    case Engine::kNative: return "native";
  }
  return "?";
}

Engine parse_engine(std::string_view text) {
  std::vector<std::string_view> names;
  for (const Engine candidate : kEngines) {
    if (text == name_of(candidate)) return candidate;
    names.push_back(name_of(candidate));
  }
  fail("[engine] unknown engine \"{}\", expected one of: {}", text, fmt::join(names, ", "));
}

Engine engine() { return engine_in_use().load(std::memory_order_relaxed); }
void set_engine(Engine engine) { engine_in_use() = engine; }

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kF32: return "f32";
    case Precision::kTf32: return "tf32";
    case Precision::kBf16: return "bf16";
  }
  return "?";
}

Precision parse_precision(std::string_view text) {
  for (const Precision candidate : kPrecisions) {
    if (text == name_of(candidate)) return candidate;
  }
  fail("[precision] unknown precision \"{}\", expected f32, tf32 or bf16", text);
}

Precision precision() { return precision_in_use().load(std::memory_order_relaxed); }

void set_precision(Precision precision, Device device) {
  DS_CHECK(device.type != DeviceType::kCpu || precision != Precision::kTf32,
           "[precision] tf32 is of CUDA devices, expected f32 or bf16 on the CPU");
  precision_in_use() = precision;
}

}  // namespace ds
