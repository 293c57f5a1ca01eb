// Modules: named parameters, buffers and children.
//
// Names are those of PyTorch state dicts ("layer1.0.conv1.weight"), so that its files load by name. A module
// is owned by a shared_ptr and never copied.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace ds {

/// What a parameter is for; groups of optimizers choose by it what decays (layers/parameter_groups.h).
enum class ParameterRole : uint8_t { kWeight, kBias, kNorm, kShift, kSign };

/// How memory order and file order (PyTorch's) differ.
struct FileLayout {
  enum class Kind : uint8_t {
    kSame,
    kConvolution,  // memory O,kh,kw,I; file O,I,kh,kw
    kFlattened,    // a Linear after a Flatten of H,W,C: memory O,(H,W,C); file O,(C,H,W)
  };
  Kind kind = Kind::kSame;
  Shape flattened = {};  // H,W,C of kFlattened

  /// Shape in the file of a tensor with this shape in memory.
  Shape file_shape(const Shape& memory) const;
  Tensor to_file(const Tensor& memory) const;
  Tensor from_file(const Tensor& file, const Shape& memory) const;
};

struct NamedParameter {
  std::string name;
  Variable value;
  ParameterRole role = ParameterRole::kWeight;
  FileLayout layout = {};
  bool training_only = false;  // Module::set_training_only
};

struct NamedBuffer {
  std::string name;
  Tensor* value = nullptr;  // owned by the module
  bool training_only = false;
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  /// The network's function. Call the module itself: operator() adds the scope that traces name layers by.
  virtual Variable forward(const Variable& x) = 0;
  /// Throws Error when a module with parameters that was never add()ed to one is called within another's
  /// forward(): it would be neither trained nor saved.
  Variable operator()(const Variable& x);
  /// One line: "Conv2d(3, 16, kernel 3x3, stride 1, padding 1, shift-q 5 bits)".
  virtual std::string describe() const = 0;

  /// The logits of auxiliary heads in the last forward pass in training mode, for losses of their own: empty
  /// for most networks, and in evaluation. Taking them lets go of them.
  virtual std::vector<Variable> take_auxiliary() { return {}; }

  /// All parameters of this module and those below it, in order of registration.
  std::vector<NamedParameter> named_parameters() const;
  std::vector<Variable> parameters() const;
  std::vector<NamedBuffer> named_buffers();
  /// Calls visit(path, module) for this module (path "") and every module below it, parents first.
  void for_each(const std::function<void(const std::string& path, Module& module)>& visit);

  /// False for the layers that a network is made of.
  bool has_children() const { return !children_.empty(); }

  /// Training or evaluation mode, for this module and all below.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  /// From now on, in training: keeps this module's input alone and computes its activations again in the
  /// backward pass (autograd/recompute.h), until which the module must live and stay in training.
  void set_recompute(bool on) { recompute_ = on; }
  /// From now on, this module and those below it serve training alone, as auxiliary heads do: a model file
  /// may leave their parameters and buffers out.
  void set_training_only() { training_only_ = true; }
  /// Moves parameters and buffers. Optimizer state made before stays where it was: move first.
  void to(Device device);
  void zero_grad();

 protected:
  /// The scope that operator() adds, for other functions of a layer.
  TraceScope trace_scope() const { return TraceScope(name_); }
  /// This module's own parameters, without those of children.
  virtual std::vector<NamedParameter> own_parameters() const { return {}; }
  virtual std::vector<NamedBuffer> own_buffers() { return {}; }

  /// Adds a child under a name and returns it. Throws Error when there is no child, when the name is empty,
  /// holds a dot or is taken, and when the child has another parent.
  template <class M>
  std::shared_ptr<M> add(const std::string& name, std::shared_ptr<M> child) {
    adopt(name, child);
    return child;
  }

 private:
  void adopt(const std::string& name, std::shared_ptr<Module> child);

  std::vector<std::shared_ptr<Module>> children_;
  std::string name_;  // within the parent; empty for the outermost module
  bool training_ = true;
  bool recompute_ = false;
  bool training_only_ = false;
};

using ModulePtr = std::shared_ptr<Module>;

/// Evaluation mode for as long as it lives; then every module has its own mode again.
class EvaluationScope {
 public:
  explicit EvaluationScope(Module& module);
  ~EvaluationScope();
  EvaluationScope(const EvaluationScope&) = delete;
  EvaluationScope& operator=(const EvaluationScope&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> modes_;
};

/// The calls of one evaluation of the module (autograd/tape.h), whatever its mode, with parameters named by
/// their paths. The sample holds one or more rows: N,H,W,C.
Graph trace(Module& module, const Tensor& sample);

}  // namespace ds
