// How many bits the rescaling of a node needs (docs/integer-net.md, Rescaling), for executors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "infer/integer_net.h"

namespace ds::infer {

/// Of a sum that is rescaled in 32 bits, in magnitude: rounding before the first shift adds up to 2^29.
inline constexpr int64_t kLargestNarrowSum = (int64_t{1} << 30) - 1;
/// And of its shifts.
inline constexpr int kLargestNarrowShift = 30;

/// j: the shift in a channel of a node of a shortcut with this format.
int shortcut_shift(const Node& node, const Format& shortcut, size_t channel);

/// Whether no product, sum or term of a node's rescaling leaves 32 bits.
bool rescales_in_32_bits(const IntegerNet& net, size_t node);

}  // namespace ds::infer
