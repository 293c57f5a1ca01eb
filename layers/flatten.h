// [N,...] to [N, product of the rest]; an image becomes its elements in order H,W,C. A Linear that follows is
// told so (layers/linear.h).
#pragma once

#include "autograd/functions.h"
#include "layers/module.h"

namespace ds {

class Flatten : public Module {
 public:
  Variable forward(const Variable& x) override { return flatten(x); }
  std::string describe() const override { return "Flatten()"; }
};

}  // namespace ds
