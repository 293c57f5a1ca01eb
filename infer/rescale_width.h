// How many bits the rescaling of a node needs (docs/integer-net.md, Rescaling), for executors.
#pragma once

#include <cstddef>

#include "infer/integer_net.h"

namespace ds::infer {

/// j: the shortcut's shift in a channel of a node that has one.
int shortcut_shift(const IntegerNet& net, size_t node, size_t channel);

/// Whether no product, sum or term of a node's rescaling leaves 32 bits.
bool rescales_in_32_bits(const IntegerNet& net, size_t node);

}  // namespace ds::infer
