// From sums to stored values on the device (docs/integer-net.md, Rescaling), and access to values of any
// type.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/dtype.h"

namespace ds::cuda {

/// A value of a type that is known only when the kernel runs.
__device__ inline int32_t load_value(const void* values, DType type, int64_t index) {
  switch (type) {
    case DType::kU8: return static_cast<const uint8_t*>(values)[index];
    case DType::kI8: return static_cast<const int8_t*>(values)[index];
    case DType::kI16: return static_cast<const int16_t*>(values)[index];
    default: return static_cast<const int32_t*>(values)[index];
  }
}

__device__ inline void store_value(void* values, DType type, int64_t index, int32_t value) {
  switch (type) {
    case DType::kU8: static_cast<uint8_t*>(values)[index] = static_cast<uint8_t>(value); break;
    case DType::kI8: static_cast<int8_t*>(values)[index] = static_cast<int8_t>(value); break;
    case DType::kI16: static_cast<int16_t*>(values)[index] = static_cast<int16_t>(value); break;
    default: static_cast<int32_t*>(values)[index] = value; break;
  }
}

/// y = sat((a' m + b + (shortcut << j)) >> k), a' = (a + half(r)) >> r, j = k + shortcut_fraction; b holds
/// half(k). By channel, filled up with zeros to whole tiles.
struct RescaleArguments {
  const int32_t* multiplier = nullptr;
  const int64_t* addend = nullptr;
  const int32_t* shift = nullptr;
  int channels = 0;  // that count
  int pre_shift = 0;
  int32_t low = 0;
  int32_t high = 0;
  bool wide = false;  // 64 bits are needed
  const void* shortcut = nullptr;
  DType shortcut_type = DType::kU8;
  int shortcut_stored = 0;    // channels of its pixels in memory
  int shortcut_fraction = 0;  // F_y - F_shortcut
};

/// What a channel needs. Wide: 64 bits. Otherwise 32 hold everything that counts: what leaves them in between
/// comes back.
template <bool wide>
struct ChannelRescale {
  using Sum = std::conditional_t<wide, int64_t, int32_t>;
  using Bits = std::make_unsigned_t<Sum>;

  int32_t multiplier;
  int32_t shift;
  Sum addend;

  ChannelRescale() = default;
  __device__ ChannelRescale(const RescaleArguments& r, int channel)
      : multiplier(r.multiplier[channel]),
        shift(r.shift[channel]),
        addend(static_cast<Sum>(r.addend[channel])) {}

  __device__ int32_t operator()(const RescaleArguments& r, Sum a, int32_t shortcut) const {
    if (r.pre_shift > 0) a = (a + (Sum{1} << (r.pre_shift - 1))) >> r.pre_shift;
    Bits sum = static_cast<Bits>(a) * static_cast<Bits>(Sum{multiplier}) + static_cast<Bits>(addend);
    if (r.shortcut != nullptr) sum += static_cast<Bits>(Sum{shortcut}) << (shift + r.shortcut_fraction);
    return static_cast<int32_t>(min(max(static_cast<Sum>(sum) >> shift, Sum{r.low}), Sum{r.high}));
  }
};

/// Of the value in a channel of a pixel.
__device__ inline int32_t rescale_value(const RescaleArguments& r, int64_t a, int64_t pixel, int channel) {
  const int32_t shortcut = r.shortcut == nullptr
                               ? 0
                               : load_value(r.shortcut, r.shortcut_type, pixel * r.shortcut_stored + channel);
  return r.wide ? ChannelRescale<true>(r, channel)(r, a, shortcut)
                : ChannelRescale<false>(r, channel)(r, static_cast<int32_t>(a), shortcut);
}

/// Eight values of neighbouring channels, on a boundary of eight.
template <class T>
__device__ inline void load_eight(const void* values, int64_t index, int32_t (&result)[8]) {
  alignas(16) T loaded[8];
  const T* source = static_cast<const T*>(values) + index;
  if constexpr (sizeof(T) == 1) {
    *reinterpret_cast<uint2*>(loaded) = *reinterpret_cast<const uint2*>(source);
  } else {
#pragma unroll
    for (size_t i = 0; i < sizeof(loaded) / 16; ++i) {
      reinterpret_cast<uint4*>(loaded)[i] = reinterpret_cast<const uint4*>(source)[i];
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) result[i] = loaded[i];
}

__device__ inline void load_eight(const void* values, DType type, int64_t index, int32_t (&result)[8]) {
  switch (type) {
    case DType::kU8: load_eight<uint8_t>(values, index, result); break;
    case DType::kI8: load_eight<int8_t>(values, index, result); break;
    case DType::kI16: load_eight<int16_t>(values, index, result); break;
    default: load_eight<int32_t>(values, index, result); break;
  }
}

template <class T>
__device__ inline void store_eight(void* values, int64_t index, const int32_t (&source)[8]) {
  alignas(16) T packed[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) packed[i] = static_cast<T>(source[i]);
  T* target = static_cast<T*>(values) + index;
  if constexpr (sizeof(T) == 1) {
    *reinterpret_cast<uint2*>(target) = *reinterpret_cast<const uint2*>(packed);
  } else {
#pragma unroll
    for (size_t i = 0; i < sizeof(packed) / 16; ++i) {
      reinterpret_cast<uint4*>(target)[i] = reinterpret_cast<const uint4*>(packed)[i];
    }
  }
}

__device__ inline void store_eight(void* values, DType type, int64_t index, const int32_t (&source)[8]) {
  switch (type) {
    case DType::kU8: store_eight<uint8_t>(values, index, source); break;
    case DType::kI8: store_eight<int8_t>(values, index, source); break;
    case DType::kI16: store_eight<int16_t>(values, index, source); break;
    default: store_eight<int32_t>(values, index, source); break;
  }
}

}  // namespace ds::cuda
