// RAdam (Liu et al., ICLR 2020): Adam whose step is rectified while its second moment is uncertain.
//
//   rho_inf = 2 / (1 - beta2) - 1,   rho = rho_inf - 2 t beta2^t / (1 - beta2^t)
//   rho > 5:  w <- w - lr r m' sqrt(1 - beta2^t) / (sqrt(v) + epsilon),
//             r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
//   else:     w <- w - lr m'                                  m, v, m', t as in adam.h
//
// Results are PyTorch's. Weight decay is decoupled (w times 1 - lr weight_decay first), as in the authors'
// code and the DeepShift recipe, or, as PyTorch does it, added to the gradient.
#pragma once

#include <string>
#include <vector>

#include "autograd/optim/optimizer.h"

namespace ds {

struct RAdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // of the one group; ParameterGroups say their own
  bool decoupled_weight_decay = true;
};

class RAdam : public Optimizer {
 public:
  RAdam(std::vector<Variable> parameters, const RAdamOptions& options);
  RAdam(std::vector<ParameterGroup> groups, const RAdamOptions& options);
  std::string describe() const override;

 private:
  void update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
              Slots& slots) override;
  void check() const;

  RAdamOptions options_;
};

}  // namespace ds
