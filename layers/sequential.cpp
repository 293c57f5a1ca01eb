#include "layers/sequential.h"

#include <fmt/format.h>

namespace ds {

Sequential::Sequential(const std::vector<ModulePtr>& modules) {
  for (const ModulePtr& module : modules) push(module);
}

Sequential::Sequential(const std::vector<std::pair<std::string, ModulePtr>>& modules) {
  for (const auto& [name, module] : modules) push(name, module);
}

void Sequential::push(std::string name, ModulePtr module) {
  modules_.push_back(add(std::move(name), std::move(module)));
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const ModulePtr& module : modules_) y = (*module)(y);
  return y;
}

std::string Sequential::describe() const { return fmt::format("Sequential({} modules)", modules_.size()); }

}  // namespace ds
