// Optimizers: parameter groups, one step over all of them, and state that a checkpoint can hold.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace ds {

/// Parameters that share a learning rate and a weight decay.
struct ParameterGroup {
  std::vector<Variable> parameters;
  double weight_decay = 0.0;
  double lr_scale = 1.0;  // times the optimizer's learning rate
};

/// State of an optimizer by name ("0.momentum" is that of parameter 0), for checkpoints.
struct OptimizerState {
  int64_t step = 0;
  std::vector<std::pair<std::string, Tensor>> tensors;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Updates every parameter that has a gradient, then projects it into its range (Variable::project). Throws
  /// Error naming the parameter's position when a parameter was retired, for example by convert_to_shift.
  void step();
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  int64_t steps() const { return steps_; }

  virtual std::string describe() const = 0;
  virtual OptimizerState state() const = 0;
  /// Throws Error when names, shapes or types do not fit the parameters.
  virtual void load_state(const OptimizerState& state) = 0;

 protected:
  Optimizer(std::vector<ParameterGroup> groups, double lr);
  /// One parameter's update. `index` counts parameters over all groups; steps() already counts this step.
  virtual void update(size_t index, Variable& parameter, double lr, double weight_decay) = 0;

  /// Parameters of all groups in order.
  std::vector<Variable> all_parameters() const;
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  std::vector<ParameterGroup> groups_;
  double lr_;
  int64_t steps_ = 0;
};

}  // namespace ds
