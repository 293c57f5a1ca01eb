#include "layers/concat.h"

#include "autograd/functions.h"
#include "core/error.h"

namespace ds {

Concat::Concat(const std::vector<ModulePtr>& branches) {
  DS_CHECK(!branches.empty(), "[concat] no branches, expected at least one");
  for (const ModulePtr& branch : branches) branches_.push_back(add(std::to_string(branches_.size()), branch));
}

Variable Concat::forward(const Variable& x) {
  std::vector<Variable> parts;
  for (const ModulePtr& branch : branches_) parts.push_back((*branch)(x));
  return concat(parts);
}

std::string Concat::describe() const { return fmt::format("Concat({} branches)", branches_.size()); }

}  // namespace ds
