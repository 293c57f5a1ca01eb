// A device is memory, copies and a table of kernels made from core/ops.def.
#pragma once

#include <array>
#include <cstddef>
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
  KernelTable kernels;
};

/// Throws Error when the device is not there or not compiled in, saying which.
const Backend& backend(Device device);
/// The table of the device, or while a profile is taken (core/profile.h) one that measures.
const KernelTable& kernels(Device device);

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
std::string_view description();  // "CUDA 12.2" or "not compiled in"
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
/// What the products of the native f32 convolutions are made of. Sums, and all other arithmetic, are f32.
enum class Precision : uint8_t {
  kF32,
  kBf16  // both factors are rounded to bf16: 8 bits of mantissa, which hold a power of two exactly
};
std::string_view name_of(Precision precision);
/// Throws Error unless the text is f32 or bf16.
Precision parse_precision(std::string_view text);
/// f32 at first.
Precision precision();
/// Throws Error where bf16 is asked for and the native kernels use no AVX-512 with its bf16 extension.
void set_precision(Precision precision);

/// The instruction set that the native kernels use: DEEPSHIFT_ISA, or the best this processor has. Throws
/// Error listing those it has when DEEPSHIFT_ISA names another.
std::string_view instruction_set();

}  // namespace ds
