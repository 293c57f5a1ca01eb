// Numeric gradients in float64: the judge of every gradient.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace ds {

struct GradCheckOptions {
  double step = 1e-5;  // central difference: (f(x + step) - f(x - step)) / (2 step)
  double tolerance =
      1e-6;  // of the largest difference, relative to the largest gradient of the input (at least 1)
};

struct GradCheckResult {
  bool passed = false;
  double worst_error = 0.0;  // relative; NaN never passes
  std::string message;       // which input and element was worst, found and expected
};

/// Compares the gradients that backward() gives for `function` with numeric ones. The inputs are f64 leaves
/// that require gradients; the output, of any shape, is weighted with fixed random numbers and summed. The
/// function must be pure.
GradCheckResult grad_check(const std::function<Variable(const std::vector<Variable>&)>& function,
                           const std::vector<Variable>& inputs, const GradCheckOptions& options = {});

}  // namespace ds
