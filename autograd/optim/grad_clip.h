// Gradient clipping by the norm over all parameters, as PyTorch's clip_grad_norm_.
//
//   norm = sqrt(sum of squares of all gradients);   g <- g min(1, max_norm / (norm + 1e-6))
#pragma once

#include <vector>

#include "autograd/variable.h"

namespace ds {

/// Scales the gradients and returns the norm before. Nothing is scaled when the norm is not finite: the
/// caller sees it in the result. Parameters without gradient are passed over. Throws Error unless max_norm >
/// 0.
double clip_grad_norm(const std::vector<Variable>& parameters, double max_norm);

}  // namespace ds
