// A device is memory, copies and a table of kernels made from core/ops.def.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "core/op_options.h"
#include "core/tensor.h"

namespace ds {

/// One function pointer a row of core/ops.def.
struct KernelTable {
#define DS_OP(name, arguments, cuda) void(*name) arguments = nullptr;
#include "core/ops.def"
#undef DS_OP
};

/// What a device must offer. Copies name the device side by its index.
struct Backend {
  void* (*allocate)(size_t bytes, int index);  // null when memory has run out
  void (*release)(void* data, int index);
  /// Gives the pages of free memory back to the system; its addresses stay. Null where there is no such way.
  void (*discard)(void* data, size_t bytes);
  void (*copy_from_host)(void* target, const void* source, size_t bytes, int index);
  void (*copy_to_host)(void* target, const void* source, size_t bytes, int index);
  void (*copy_within)(void* target, const void* source, size_t bytes, int index);
  /// Like copy_from_host, beside the device's other work but not before what was started when it is called,
  /// so that memory which that work still reads is not overwritten; called by threads of loaders.
  void (*upload)(void* target, const void* source, size_t bytes, int index);
  /// Until all that was started on the device is done. Null where operations are done when they return.
  void (*wait)(int index);
  KernelTable kernels;
};

/// Throws Error when the device is not there or not compiled in, saying which.
const Backend& backend(Device device);
/// The table of the device, or while a profile is taken (core/profile.h) one that measures it.
const KernelTable& kernels(Device device);

/// A tensor of the host on the device, copied beside the device's other work; the tensor itself where that is
/// the host.
Tensor upload(const Tensor& tensor, Device device);
/// Copies between any two devices.
void copy_bytes(void* target, Device target_device, const void* source, Device source_device, size_t bytes);

/// CUDA device 0 when there is one and kernels for it, the CPU otherwise.
Device best_device();
/// Number of CUDA devices found; 0 in a build without CUDA.
int cuda_device_count();

namespace cpu {
extern const Backend kBackend;  // core/cpu/table.cpp
}
namespace cuda {
extern const Backend* const kBackend;  // cuda/; null in a build without CUDA
int device_count();
std::string_view description();  // "CUDA 12.2, cuDNN 9.1.0" or "not compiled in"
/// "NVIDIA H100, 79.2 GiB, compute capability 9.0". Throws Error when there is no such device.
std::string describe_device(int index);
/// Why no device was found, in the words of the driver; empty where there is one, or where nothing asked.
std::string_view why_none();
}  // namespace cuda

/// Implementations of float matrix multiplication and convolution on the CPU.
enum class Engine : uint8_t {
  kReference,  // plain loops: the judge
  kOpenBlas,   // im2col + gemm: the baseline that latencies are compared with
  kNative,     // our own NHWC kernels for f32 convolutions and linear layers; openblas for the rest
};
inline constexpr std::array kEngines = {Engine::kReference, Engine::kOpenBlas, Engine::kNative};

std::string_view name_of(Engine engine);
/// Throws Error listing the engines unless the text names one.
Engine parse_engine(std::string_view text);
/// The engine in use: DEEPSHIFT_ENGINE, or native.
Engine engine();
void set_engine(Engine engine);
/// What the products of f32 convolutions are made of: those of the native engine on the CPU, and those on
/// CUDA devices, where linear layers take part. Sums, and all other arithmetic, are f32.
enum class Precision : uint8_t {
  kF32,
  kTf32,  // CUDA devices: both factors keep 10 bits of mantissa
  kBf16   // both factors are rounded to bf16: 7 bits of mantissa, which hold a power of two exactly; results
          // of convolutions on CUDA devices are rounded, too
};
inline constexpr std::array kPrecisions = {Precision::kF32, Precision::kTf32, Precision::kBf16};
std::string_view name_of(Precision precision);
/// Throws Error unless the text is f32, tf32 or bf16.
Precision parse_precision(std::string_view text);
/// f32 at first.
Precision precision();
/// Throws Error for tf32 on a CPU. bf16 is faster than f32 on processors with AVX512-BF16 where layers
/// have many channels (docs/results/cpu_training.md); on others it is computed by f32 arithmetic, slower than
/// f32.
void set_precision(Precision precision, Device device = {});

/// The instruction set that the native kernels use: DEEPSHIFT_ISA, or the best this processor has. Throws
/// Error listing those it has when DEEPSHIFT_ISA names another.
std::string_view instruction_set();

}  // namespace ds
