// Activations: max(x, 0), and min(max(x, 0), 6).
#pragma once

#include "autograd/functions.h"
#include "layers/module.h"

namespace ds {

class Relu : public Module {
 public:
  Variable forward(const Variable& x) override { return relu(x); }
  std::string describe() const override { return "Relu()"; }
};

class Relu6 : public Module {
 public:
  Variable forward(const Variable& x) override { return relu6(x); }
  std::string describe() const override { return "Relu6()"; }
};

}  // namespace ds
