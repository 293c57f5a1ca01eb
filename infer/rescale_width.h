// How many bits the rescaling of a node needs (docs/integer-net.md, Rescaling), for executors.
#pragma once

#include <cstddef>

#include "infer/integer_net.h"

namespace ds::infer {

/// j: the shift in a channel of a node of a shortcut with this format.
int shortcut_shift(const Node& node, const Format& shortcut, size_t channel);

/// Whether no product, sum or term of a node's rescaling leaves 32 bits.
bool rescales_in_32_bits(const IntegerNet& net, size_t node);

}  // namespace ds::infer
