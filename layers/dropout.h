// Dropout (Srivastava et al. 2014): in training each element is 0 with probability p, else divided by 1 - p;
// drawn from the default generator. Evaluation changes nothing.
#pragma once

#include "layers/module.h"

namespace ds {

class Dropout : public Module {
 public:
  /// Throws Error unless 0 <= p < 1.
  explicit Dropout(double p = 0.5);
  Variable forward(const Variable& x) override;
  std::string describe() const override;

 private:
  double p_;
};

}  // namespace ds
