// Modules one after the other, named "0", "1", ... or as given.
//
//   Sequential net(std::make_shared<Conv2d>(...), std::make_shared<Relu>());
//   Sequential net({{"conv", conv}, {"relu", relu}});
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/module.h"

namespace ds {

class Sequential : public Module {
 public:
  /// Empty: the identity.
  Sequential() = default;
  explicit Sequential(const std::vector<ModulePtr>& modules);
  explicit Sequential(const std::vector<std::pair<std::string, ModulePtr>>& modules);

  /// Appends a module under the next number or a name of its own.
  void push(ModulePtr module) { push(std::to_string(modules_.size()), std::move(module)); }
  void push(const std::string& name, ModulePtr module);

  size_t size() const { return modules_.size(); }
  const std::vector<ModulePtr>& modules() const { return modules_; }
  Variable forward(const Variable& x) override;
  std::string describe() const override;

 private:
  std::vector<ModulePtr> modules_;
};

/// Lets the blocks of a network compute their activations again in the backward pass (Module::set_recompute).
/// Blocks are the modules within a Sequential that have children and are none themselves; of blocks within
/// blocks, the outermost. Returns how many there are.
int recompute_blocks(Module& network, bool on = true);

/// sequential(conv, relu, ...): modules of different types without a list.
template <class... Modules>
std::shared_ptr<Sequential> sequential(const std::shared_ptr<Modules>&... modules) {
  return std::make_shared<Sequential>(std::vector<ModulePtr>{modules...});
}

}  // namespace ds
