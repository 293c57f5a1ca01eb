// The definition of an integer net's arithmetic as code: docs/integer-net.md, sentence by sentence, for
// reading and for judging every fast executor by. No multiplication: a weight s 2^p is a shift, and a
// multiplier its signed binary digits.
#pragma once

#include "core/tensor.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// images u8 [N,H,W,C]: the integers of the result node, i32 [N,...]. Throws Error for another shape or type.
Tensor run_reference(const IntegerNet& net, const Tensor& images);

/// The integers of every node for one image u8 [H,W,C], each i32 of the node's shape: to find the first node
/// where an executor differs.
std::vector<Tensor> trace_reference(const IntegerNet& net, const Tensor& image);

}  // namespace ds::infer
