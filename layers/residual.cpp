#include "layers/residual.h"

#include "autograd/functions.h"
#include "core/error.h"

namespace ds {

Residual::Residual(ModulePtr branch, ModulePtr shortcut) : branch_(add("branch", std::move(branch))) {
  if (shortcut != nullptr) shortcut_ = add("shortcut", std::move(shortcut));
}

Variable Residual::forward(const Variable& x) {
  const Variable branch = (*branch_)(x);
  const Variable shortcut = shortcut_ == nullptr ? x : (*shortcut_)(x);
  DS_CHECK(branch.shape() == shortcut.shape(),
           "[residual] the branch gives {}, the shortcut {}, expected one shape", branch.shape().str(),
           shortcut.shape().str());
  return branch + shortcut;
}

std::string Residual::describe() const { return shortcut_ == nullptr ? "Residual(identity)" : "Residual()"; }

}  // namespace ds
