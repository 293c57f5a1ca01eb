// Stochastic gradient descent with momentum, as PyTorch's SGD.
//
//   g <- g + weight_decay w
//   v <- momentum v + (1 - dampening) g          (the first time: v <- g)
//   w <- w - lr (nesterov ? g + momentum v : v)
#pragma once

#include <string>
#include <vector>

#include "autograd/optim/optimizer.h"

namespace ds {

struct SgdOptions {
  double lr = 0.1;
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;  // of the one group; ParameterGroups say their own
  bool nesterov = false;      // needs momentum > 0 and dampening = 0
};

class Sgd : public Optimizer {
 public:
  Sgd(std::vector<Variable> parameters, const SgdOptions& options);
  Sgd(std::vector<ParameterGroup> groups, const SgdOptions& options);
  std::string describe() const override;

 private:
  void update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
              Slots& slots) override;
  void check() const;

  SgdOptions options_;
};

}  // namespace ds
