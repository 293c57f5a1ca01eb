// The tape: every differentiable function records one node; backward() replays the nodes in reverse, trace()
// lists them.
//
// A function is written in three steps (docs/adding-an-op.md):
//   Variable affine(const Variable& x, const AffineOptions& options) {
//     return record({.kind = "affine", .inputs = {x}, .options = options},
//                   ops::affine(x.value(), options.scale, options.shift),
//                   [scale = options.scale](const Tensor& dy) {
//                     return Gradients{ops::affine(dy, scale, 0.0)};
//                   });
//   }
// The capture list of the closure is the list of what it keeps alive.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace ds {

/// One gradient an input, in order; an undefined tensor where an input needs none.
using Gradients = std::vector<Tensor>;
/// The gradient of a node's output to those of its inputs.
using GradientFunction = std::function<Gradients(const Tensor& dy)>;

/// What a function says about itself when it records.
struct NodeInfo {
  std::string kind;              // the function's name: "conv2d"
  std::vector<Variable> inputs;  // undefined ones (no bias) are allowed
  std::any options = {};         // its option struct, for lowering and export
};

/// A tensor without its elements.
struct TensorType {
  Shape shape;
  DType dtype = DType::kF32;
  Device device;

  static TensorType of(const Tensor& tensor) { return {tensor.shape(), tensor.dtype(), tensor.device()}; }
  bool operator==(const TensorType&) const = default;
  /// "f32 [2, 3] on cpu".
  std::string str() const;
};

/// A recorded call: how its gradients are computed and where they go. It does not hold the values of its
/// inputs; those that the closure needs, the closure keeps.
class Node {
 public:
  /// The way of one input's gradient: to the node that made the input, to a leaf, or nowhere.
  struct Edge {
    std::shared_ptr<Node> node;
    Variable leaf;
    std::shared_ptr<const uint64_t> version = {};  // the input's; null where there is none
    uint64_t recorded_version = 0;                 // when the call was recorded
  };

  Node(const NodeInfo& info, const Tensor& output, GradientFunction gradient);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& kind() const { return kind_; }
  const std::vector<Edge>& edges() const { return edges_; }
  /// Order of recording: inputs have smaller numbers than the nodes that use them.
  uint64_t sequence() const { return sequence_; }
  /// What a gradient of this node's output must look like.
  const TensorType& output() const { return output_; }
  /// The gradients of the inputs, one an edge. Throws Error when the node was freed, one of its inputs was
  /// changed in place since it was recorded (whether its gradient needs that one or not), or the closure
  /// returns another number of gradients.
  Gradients replay(const Tensor& dy) const;
  /// Drops the closure and the edges.
  void free();

  /// Lets go of a node; what it alone kept alive follows, one after the other and not nested.
  static void release(std::shared_ptr<Node> node);

 private:
  std::string kind_;
  std::vector<Edge> edges_;
  GradientFunction gradient_;
  TensorType output_;
  uint64_t sequence_;
};

/// Puts a function's result on the tape. Without a gradient to compute (no input requires one, or under
/// NoGrad) the result is a plain leaf and the closure is dropped; while a trace is taken, the node is listed
/// without its closure.
Variable record(NodeInfo info, Tensor value, GradientFunction gradient);

/// Whether results are recorded for backward() on this thread.
bool grad_enabled();

/// While it lives, nothing on this thread is recorded for backward().
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// While it lives, results on this thread are recorded, within a NoGrad too.
class EnableGrad {
 public:
  EnableGrad();
  ~EnableGrad();
  EnableGrad(const EnableGrad&) = delete;
  EnableGrad& operator=(const EnableGrad&) = delete;

 private:
  bool previous_;
};

/// Replays the tape from a scalar root (gradient 1). Iterative: depth is limited by memory only. Throws Error
/// when the root is not a scalar, requires no gradient, or has a freed graph behind it; and, naming the node,
/// when a gradient has the wrong shape or type.
void backward(const Variable& root, bool keep_graph = false);
/// The same from any root with a given gradient, which takes the place of the 1. Throws Error when its shape,
/// type or device is not the root's.
void backward(const Variable& root, Tensor gradient, bool keep_graph = false);

/// One recorded call in a traced graph.
struct TracedNode {
  std::string kind;
  std::string scope;             // the path of the module that called it: "layer1.0.conv1"
  std::vector<int> inputs = {};  // indices of values in the graph; -1 for an undefined input
  int output = 0;
  std::any options;
};

/// A value of a traced graph: the input, a constant leaf (parameters by name where the module names them), or
/// a result.
struct TracedValue {
  Tensor value;
  std::string name = {};  // of leaves: "conv1.weight", "input"; empty for results
  int producer = -1;      // index of the node, -1 for leaves
};

/// Whether trace() is running on this thread: functions with a training mode then evaluate.
bool tracing();

/// The calls of one evaluation, in order. Value 0 is the input.
struct Graph {
  std::vector<TracedNode> nodes;
  std::vector<TracedValue> values;
  int output = 0;
};

/// Runs the function in evaluation and lists what it records. It is run with batches of 1 and 2 rows of the
/// sample (N,...) and the graph with one row is returned; throws Error naming the first node that differs.
Graph trace(const std::function<Variable(const Variable&)>& function, const Tensor& sample);

/// While it lives, nodes recorded on this thread belong to this scope (nested: joined by dots). Modules open
/// one each.
class TraceScope {
 public:
  explicit TraceScope(const std::string& name);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  size_t previous_length_;
};

}  // namespace ds
