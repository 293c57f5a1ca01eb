// What must hold of a node of an integer net, and what its weights prove about the width of its sums.
#pragma once

#include <vector>

#include "infer/integer_net.h"

namespace ds::infer {

/// Checks node `index` against those before it, which were checked, and gives nodes that only move values the
/// low and high of their inputs. Throws Error naming the node and its place.
NodeBounds check_node(std::vector<Node>& nodes, size_t index);

}  // namespace ds::infer
