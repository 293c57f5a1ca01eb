// What `deepshift inspect` shows of an integer net.
#pragma once

#include <string>

#include "infer/integer_net.h"

namespace ds::apps {

/// A table, a line a node: format, packed bytes, digits of the multipliers, proven bits of its sums, the
/// kernel that this machine takes, shifts and additions; and their sums, with the energy of the arithmetic
/// (45 nm, after Horowitz 2014 and You et al. 2024: 32-bit addition 0.1 pJ, shift 0.13; 8-bit multiplication
/// 0.2, 32-bit 3.1).
std::string describe_net(const infer::IntegerNet& net);

}  // namespace ds::apps
