// The channels of several branches of one input, side by side. Children "0", "1", ...
#pragma once

#include <vector>

#include "layers/module.h"

namespace ds {

class Concat : public Module {
 public:
  /// Throws Error without branches. The shapes that they give must agree but for the channels.
  explicit Concat(const std::vector<ModulePtr>& branches);

  Variable forward(const Variable& x) override;
  std::string describe() const override;

 private:
  std::vector<ModulePtr> branches_;
};

}  // namespace ds
