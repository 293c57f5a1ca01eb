#include "autograd/optim/grad_clip.h"

#include <cmath>

#include "core/error.h"
#include "core/ops.h"

namespace ds {

double clip_grad_norm(const std::vector<Variable>& parameters, double max_norm) {
  DS_CHECK(max_norm > 0.0, "[clip_grad_norm] largest norm is {}, expected above 0", max_norm);
  std::vector<Tensor> gradients;
  for (const Variable& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  const double norm = std::sqrt(ops::sum_squares(gradients));
  const double scale = max_norm / (norm + 1e-6);
  if (!(scale < 1.0) || !std::isfinite(norm)) return norm;
  for (Variable parameter : parameters) {
    if (parameter.grad().defined()) parameter.mutable_grad() = ops::affine(parameter.grad(), scale, 0.0);
  }
  return norm;
}

}  // namespace ds
