// Element types of tensors, their sizes and names, and dispatch from a run-time type to a C++ type.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "core/error.h"
#include "core/host_device.h"

namespace ds {

enum class DType : uint8_t { kF32, kF64, kBf16, kU8, kI8, kI16, kI32, kI64 };

/// bfloat16: the upper half of a float32, rounded to nearest even. Storage only; arithmetic is done in float.
struct Bf16 {
  uint16_t bits = 0;

  Bf16() = default;
  DS_HOST_DEVICE explicit Bf16(float value) {
    const auto raw = std::bit_cast<uint32_t>(value);
    if (value != value) {
      bits = static_cast<uint16_t>((raw >> 16) |
                                   0x40);  // keep it a (quiet) NaN: rounding could carry into infinity
    } else {
      bits = static_cast<uint16_t>((raw + 0x7fff + ((raw >> 16) & 1)) >> 16);
    }
  }
  DS_HOST_DEVICE explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// Bytes of one element.
constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64: return 8;
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBf16:
    case DType::kI16: return 2;
    case DType::kU8:
    case DType::kI8: return 1;
  }
  return 0;
}

/// "f32", "f64", "bf16", "u8", "i8", "i16", "i32", "i64".
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF64: return "f64";
    case DType::kBf16: return "bf16";
    case DType::kU8: return "u8";
    case DType::kI8: return "i8";
    case DType::kI16: return "i16";
    case DType::kI32: return "i32";
    case DType::kI64: return "i64";
  }
  return "?";
}

constexpr bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBf16;
}

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::kF32;
  if constexpr (std::is_same_v<T, double>) return DType::kF64;
  if constexpr (std::is_same_v<T, Bf16>) return DType::kBf16;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::kU8;
  if constexpr (std::is_same_v<T, int8_t>) return DType::kI8;
  if constexpr (std::is_same_v<T, int16_t>) return DType::kI16;
  if constexpr (std::is_same_v<T, int32_t>) return DType::kI32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::kI64;
}

/// Calls body with a value-initialised float or double: `dispatch_float(x.dtype(), "relu", [&](auto zero) {
/// using T = decltype(zero); ... })`. Throws Error naming the operation for any other type.
template <class Body>
void dispatch_float(DType dtype, std::string_view operation, Body&& body) {
  switch (dtype) {
    case DType::kF32: body(float{}); return;
    case DType::kF64: body(double{}); return;
    default: fail("[{}] element type is {}, expected f32 or f64", operation, name_of(dtype));
  }
}

/// The same for every element type (casts, copies).
template <class Body>
void dispatch_any(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kF32: body(float{}); return;
    case DType::kF64: body(double{}); return;
    case DType::kBf16: body(Bf16{}); return;
    case DType::kU8: body(uint8_t{}); return;
    case DType::kI8: body(int8_t{}); return;
    case DType::kI16: body(int16_t{}); return;
    case DType::kI32: body(int32_t{}); return;
    case DType::kI64: body(int64_t{}); return;
  }
}

}  // namespace ds
