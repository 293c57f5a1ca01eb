// What must hold of a node of an integer net, and what its weights prove about the width of its sums.
#pragma once

#include <vector>

#include "infer/integer_net.h"

namespace ds::infer {

/// Whether values of such nodes are those of their inputs, as they are: low and high are, too.
bool moves_values(NodeKind kind);
/// The lowest low and the highest high of a node's inputs, and 0.
Interval range_of_inputs(const std::vector<Node>& nodes, const Node& node);

/// Checks node `index` against those before it, which were checked, and gives nodes that only move values the
/// low and high of their inputs. Throws Error naming the node and its place, whatever it is that does not
/// fit.
NodeBounds check_node(std::vector<Node>& nodes, size_t index);

}  // namespace ds::infer
