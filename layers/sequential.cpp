#include "layers/sequential.h"

#include <fmt/format.h>

#include <unordered_set>

namespace ds {

Sequential::Sequential(const std::vector<ModulePtr>& modules) {
  for (const ModulePtr& module : modules) push(module);
}

Sequential::Sequential(const std::vector<std::pair<std::string, ModulePtr>>& modules) {
  for (const auto& [name, module] : modules) push(name, module);
}

void Sequential::push(const std::string& name, ModulePtr module) {
  modules_.push_back(add(name, std::move(module)));
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const ModulePtr& module : modules_) y = (*module)(y);
  return y;
}

std::string Sequential::describe() const { return fmt::format("Sequential({} modules)", modules_.size()); }

int recompute_blocks(Module& network, bool on) {
  std::unordered_set<const Module*> candidates;
  std::string block;  // the path of the last one
  int blocks = 0;
  network.for_each([&](const std::string& path, Module& module) {
    if (blocks > 0 && path.starts_with(block + ".")) return;
    if (candidates.contains(&module)) {
      module.set_recompute(on);
      block = path;
      ++blocks;
    } else if (const auto* sequential = dynamic_cast<const Sequential*>(&module)) {
      for (const ModulePtr& child : sequential->modules()) {
        if (child->has_children() && dynamic_cast<const Sequential*>(child.get()) == nullptr) {
          candidates.insert(child.get());
        }
      }
    }
  });
  return blocks;
}

}  // namespace ds
