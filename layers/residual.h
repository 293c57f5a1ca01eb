// y = branch(x) + shortcut(x) (He et al. 2016). Both must give one shape. Children "branch" and "shortcut".
#pragma once

#include "layers/module.h"

namespace ds {

class Residual : public Module {
 public:
  /// Without a shortcut: y = branch(x) + x.
  explicit Residual(ModulePtr branch, ModulePtr shortcut = nullptr);

  Variable forward(const Variable& x) override;
  std::string describe() const override;

 private:
  ModulePtr branch_;
  ModulePtr shortcut_;  // null: the identity
};

}  // namespace ds
