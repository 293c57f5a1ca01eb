// Optimizers: parameter groups, one step over all of them, and state that a checkpoint can hold.
//
// The learning rate is no part of the state: a schedule gives it from the epoch (autograd/optim/schedule.h).
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
  /// Error naming the parameter's position, before anything is updated, when a parameter was retired, for
  /// example by convert_to_shift.
  void step();
  void zero_grad();

  double lr() const { return lr_; }
  /// Throws Error unless 0 <= lr < infinity.
  void set_lr(double lr);
  /// The learning rate that was set last, whatever a schedule has made of it since: what schedules start
  /// from.
  double base_lr() const { return base_lr_; }
  /// For schedules: changes lr() alone. Throws Error likewise.
  void set_scheduled_lr(double lr);
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  /// Calls of step().
  int64_t steps() const { return steps_; }

  /// One line: "Sgd(lr 0.1, momentum 0.9)".
  virtual std::string describe() const = 0;
  /// Everything that the next steps depend on but the learning rate: a run that loads it ends with the same
  /// bits. The tensors are those in use, not copies.
  OptimizerState state() const;
  /// Copies the tensors. Throws Error, with nothing changed, when names, shapes or types do not fit the
  /// parameters, or counts are not possible.
  void load_state(const OptimizerState& state);

 protected:
  /// What is remembered of one parameter: tensors like it, in the order of `slot_names`, zeros at its first
  /// update.
  struct Slots {
    int64_t updates = 0;  // of this parameter, the one in progress included
    std::vector<Tensor> tensors;
  };

  /// Throws Error for an empty list, a parameter that is listed twice or requires no gradient, and a learning
  /// rate or weight decay that is negative or not finite, and for a weight decay of what must not decay
  /// (Variable::forbid_decay).
  Optimizer(std::vector<ParameterGroup> groups, double lr, std::vector<std::string> slot_names);
  /// One parameter's update, at its group's learning rate.
  virtual void update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
                      Slots& slots) = 0;

 private:
  std::vector<ParameterGroup> groups_;
  double base_lr_ = 0.0;
  double lr_ = 0.0;
  std::vector<std::string> slot_names_;
  std::vector<Variable> parameters_;  // of all groups, in order
  std::vector<Slots> slots_;          // one a parameter
  int64_t steps_ = 0;
};

/// One group of all the parameters.
std::vector<ParameterGroup> one_group(std::vector<Variable> parameters, double weight_decay);
/// Those that have parameters.
std::vector<ParameterGroup> without_empty(std::vector<ParameterGroup> groups);
/// Groups say their own weight decay: throws Error when the options say another one beside them.
std::vector<ParameterGroup> own_decays(std::vector<ParameterGroup> groups, double weight_decay);

}  // namespace ds
