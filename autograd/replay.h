// The calls of a traced graph (autograd/tape.h) once more, with other inputs.
#pragma once

#include <functional>
#include <vector>

#include "autograd/tape.h"

namespace ds {

/// Evaluates a call with its recorded options: inputs in the order of the node's, undefined where it had
/// none.
using ReplayedCall = std::function<Tensor(const std::vector<Tensor>& inputs)>;

/// The call of a kind with its options, in evaluation. Throws Error naming kind and place where no function
/// of autograd/functions.h that a network calls has that name.
ReplayedCall replayed_call(const std::string& kind, const std::any& options, const std::string& scope);

}  // namespace ds
