// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch's.
//
//   m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
//   w <- w - lr m' / (sqrt(v') + epsilon),   m' = m / (1 - beta1^t),   v' = v / (1 - beta2^t)
//
// t counts the updates of this parameter. Weight decay: Adam adds weight_decay w to g; AdamW first multiplies
// w by 1 - lr weight_decay.
#pragma once

#include <string>
#include <vector>

#include "autograd/optim/optimizer.h"

namespace ds {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;  // of the one group; ParameterGroups say their own
};

class Adam : public Optimizer {
 public:
  Adam(std::vector<Variable> parameters, const AdamOptions& options);
  Adam(std::vector<ParameterGroup> groups, const AdamOptions& options);
  std::string describe() const override;

 protected:
  enum class Decay : uint8_t { kInGradient, kDecoupled };
  Adam(std::vector<ParameterGroup> groups, const AdamOptions& options, Decay decay);

 private:
  void update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
              Slots& slots) override;

  AdamOptions options_;
  Decay decay_;
};

class AdamW : public Adam {
 public:
  AdamW(std::vector<Variable> parameters, const AdamOptions& options);
  AdamW(std::vector<ParameterGroup> groups, const AdamOptions& options);
  std::string describe() const override;
};

/// Throws Error unless both are in [0, 1) and epsilon is not negative. Shared by the optimizers with moments.
void check_moments(const char* optimizer, double beta1, double beta2, double epsilon);

}  // namespace ds
