// Floats as integers that order as they do, for minima and maxima in which NaNs show.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/host_device.h"

namespace ds {

template <class T>
using OrderedBits = std::conditional_t<std::is_same_v<T, float>, int32_t, int64_t>;

/// Its own inverse on the bits of a number; the NaNs of either sign come beyond the infinity of that sign.
template <class Int>
DS_HOST_DEVICE Int reorder(Int bits) {
  return bits ^ ((bits >> (8 * sizeof(Int) - 1)) & std::numeric_limits<Int>::max());
}

template <class T>
DS_HOST_DEVICE OrderedBits<T> ordered_bits(T value) {
  return reorder(std::bit_cast<OrderedBits<T>>(value));
}
template <class T>
DS_HOST_DEVICE T from_ordered_bits(OrderedBits<T> bits) {
  return std::bit_cast<T>(reorder(bits));
}

}  // namespace ds
