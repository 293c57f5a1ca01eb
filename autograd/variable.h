// A value on the tape, with its gradient.
//
// A Variable is a handle: copies share the value, the gradient and the node that made it. Leaves (parameters,
// inputs) are made by hand; everything else by the functions of autograd/functions.h, which record a node
// (autograd/tape.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace ds {

class Node;

class Variable {
 public:
  Variable() = default;  // defined() is false
  /// A leaf. Implicit, so that a tensor can be passed where a constant is meant.
  Variable(Tensor value, bool requires_grad = false);  // NOLINT(google-explicit-constructor)

  bool defined() const { return state_ != nullptr; }
  const Tensor& value() const;
  /// For what changes parameters in place: optimizers, loading, conversion. Counts as a change: a backward
  /// pass over what was recorded from this variable before it is refused. (What changes the elements through
  /// another tensor that shares them is not seen.)
  Tensor& mutable_value();
  /// The number of changes in place so far; it outlives the variable.
  std::shared_ptr<const uint64_t> version() const;
  const Shape& shape() const { return value().shape(); }
  int64_t size(int axis) const { return value().size(axis); }
  DType dtype() const { return value().dtype(); }
  Device device() const { return value().device(); }

  bool requires_grad() const;
  /// Undefined until backward() has reached this variable. Gradients accumulate until zero_grad().
  const Tensor& grad() const;
  Tensor& mutable_grad();
  void zero_grad();
  /// Adds to the gradient. The first one is taken as it is, or copied when other tensors share its memory, so
  /// that no two gradients alias. Throws Error unless shape, type and device are those of the value.
  void accumulate_grad(Tensor grad);

  /// The node that made this value; null for leaves and under NoGrad.
  const std::shared_ptr<Node>& node() const;
  /// The same value off the tape.
  Variable detach() const { return Variable(value()); }
  /// Gradients of every leaf that this scalar depends on (autograd/tape.h). Frees the graph unless told to
  /// keep it.
  void backward(bool keep_graph = false) const;
  /// The single element of a scalar.
  double item() const { return value().item(); }

  /// The name that traces give a leaf: "conv1.weight". Empty unless set.
  void set_name(std::string name);
  const std::string& name() const;
  /// The set a parameter is kept in: called on the value after each optimizer step.
  void set_projection(std::function<void(Tensor&)> projection);
  void project();
  /// Says why an optimizer must not decay this parameter: one that is asked to refuses it, with this reason.
  void forbid_decay(std::string reason);
  const std::string& decay_forbidden() const;
  /// Marks a parameter as replaced; optimizers that still hold it refuse to step, with this reason.
  void retire(std::string reason);
  const std::string& retired() const;

  bool same_as(const Variable& other) const { return state_ == other.state_; }
  /// Identity of the shared state, for maps and sets.
  const void* id() const { return state_.get(); }

 private:
  friend Variable make_result(Tensor value, std::shared_ptr<Node> node);
  struct State;
  State& state() const;
  std::shared_ptr<State> state_;
};

/// A variable that requires a gradient because a node made it; record() calls this.
Variable make_result(Tensor value, std::shared_ptr<Node> node);

}  // namespace ds
