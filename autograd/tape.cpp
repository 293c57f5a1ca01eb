#include "autograd/tape.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "autograd/tracer.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

std::atomic<uint64_t> next_sequence{0};
thread_local bool enabled = true;

/// A node whose gradient is being summed.
struct Pending {
  std::shared_ptr<Node> node;
  Tensor gradient;
};

/// Nodes by order of recording, the latest first. A value's users are recorded after it, so when a node is
/// the first, its gradient is complete.
using PendingNodes = std::map<uint64_t, Pending, std::greater<>>;

void deliver(const Node& from, size_t input, const Node::Edge& to, Tensor gradient, PendingNodes& pending) {
  const TensorType expected = to.node ? to.node->output() : TensorType::of(to.leaf.value());
  DS_CHECK(gradient.defined(), "[backward] {} returned no gradient for input {}, which requires one",
           from.kind(), input);
  DS_CHECK(TensorType::of(gradient) == expected,
           "[backward] {} returned a gradient for input {}: found {}, "
           "expected {}",
           from.kind(), input, TensorType::of(gradient).str(), expected.str());
  if (!to.node) {
    Variable(to.leaf).accumulate_grad(std::move(gradient));
    return;
  }
  Pending& target = pending[to.node->sequence()];
  if (!target.node) {
    target = {to.node, std::move(gradient)};  // perhaps shared: the next one is not added in place then
  } else if (target.gradient.owns_memory()) {
    ops::accumulate(gradient, 1.0, target.gradient);
  } else {
    target.gradient = ops::arithmetic(Arithmetic::kAdd, target.gradient, gradient);
  }
}

}  // namespace

std::string TensorType::str() const {
  return fmt::format("{} {} on {}", name_of(dtype), shape.str(), device.str());
}

Node::Node(const NodeInfo& info, const Tensor& output, GradientFunction gradient)
    : kind_(info.kind),
      gradient_(std::move(gradient)),
      output_(TensorType::of(output)),
      sequence_(next_sequence.fetch_add(1, std::memory_order_relaxed)) {
  edges_.reserve(info.inputs.size());
  for (const Variable& input : info.inputs) {
    Edge& edge = edges_.emplace_back();
    if (!input.defined()) continue;
    edge.version = input.version();  // also of inputs without a gradient: those of others depend on them
    edge.recorded_version = *edge.version;
    if (!input.requires_grad()) continue;
    edge.node = input.node();
    if (!edge.node) edge.leaf = input;
  }
}

Node::~Node() { free(); }

Gradients Node::replay(const Tensor& dy) const {
  DS_CHECK(
      gradient_ != nullptr,
      "[backward] the graph behind {} was freed by an earlier backward(): run the forward pass again, or "
      "keep the graph with backward(true)",
      kind_);
  for (size_t i = 0; i < edges_.size(); ++i) {
    const Edge& edge = edges_[i];
    const bool named = edge.leaf.defined() && !edge.leaf.name().empty();
    DS_CHECK(!edge.version || *edge.version == edge.recorded_version,
             "[backward] input {} of {}{} was changed in place, by an optimizer's step perhaps, after the "
             "forward pass: run the forward pass again",
             i, kind_, named ? fmt::format(" ({})", edge.leaf.name()) : "");
  }
  Gradients gradients = gradient_(dy);
  DS_CHECK(gradients.size() == edges_.size(), "[backward] {} returned {} gradients for {} inputs", kind_,
           gradients.size(), edges_.size());
  return gradients;
}

void Node::free() {
  gradient_ = nullptr;
  for (Edge& edge : edges_) release(std::move(edge.node));
  edges_.clear();
}

void Node::release(std::shared_ptr<Node> node) {
  if (!node) return;
  thread_local std::vector<std::shared_ptr<Node>>* waiting = nullptr;  // of the outermost call
  if (waiting != nullptr) {
    waiting->push_back(std::move(node));
    return;
  }
  std::vector<std::shared_ptr<Node>> own;
  waiting = &own;
  own.push_back(std::move(node));
  while (!own.empty()) {
    const std::shared_ptr<Node> last = std::move(own.back());
    own.pop_back();
  }
  waiting = nullptr;
}

Variable record(NodeInfo info, Tensor value, GradientFunction gradient) {
  if (Tracer* tracer = Tracer::current()) return tracer->add(std::move(info), std::move(value));
  const bool needed = enabled && std::any_of(info.inputs.begin(), info.inputs.end(),
                                             [](const Variable& input) { return input.requires_grad(); });
  if (!needed) return Variable(std::move(value));
  auto node = std::make_shared<Node>(info, value, std::move(gradient));
  return make_result(std::move(value), std::move(node));
}

bool grad_enabled() { return enabled; }
NoGrad::NoGrad() : previous_(std::exchange(enabled, false)) {}
NoGrad::~NoGrad() { enabled = previous_; }
EnableGrad::EnableGrad() : previous_(std::exchange(enabled, true)) {}
EnableGrad::~EnableGrad() { enabled = previous_; }

void backward(const Variable& root, bool keep_graph) {
  DS_CHECK(root.defined(), "[backward] there is no variable");
  DS_CHECK(root.value().numel() == 1,
           "[backward] root has shape {}, expected one element: take sum() or mean(), or give a gradient",
           root.shape().str());
  backward(root, Tensor::full(root.shape(), 1.0, root.dtype(), root.device()), keep_graph);
}

void backward(const Variable& root, Tensor gradient, bool keep_graph) {
  DS_CHECK(root.defined(), "[backward] there is no variable");
  DS_CHECK(
      root.requires_grad(),
      "[backward] root requires no gradient: nothing it was made from does, or it was made under NoGrad");
  DS_CHECK(gradient.defined() && TensorType::of(gradient) == TensorType::of(root.value()),
           "[backward] the root's gradient is {}, expected {}",
           gradient.defined() ? TensorType::of(gradient).str() : "undefined",
           TensorType::of(root.value()).str());
  if (!root.node()) return Variable(root).accumulate_grad(std::move(gradient));

  PendingNodes pending;
  pending[root.node()->sequence()] = {root.node(), std::move(gradient)};
  while (!pending.empty()) {
    Pending current = std::move(pending.begin()->second);
    pending.erase(pending.begin());
    Node& node = *current.node;
    Gradients gradients = node.replay(current.gradient);
    current.gradient = Tensor();  // before delivery: a gradient passed on may now be the owner of its memory
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Node::Edge& edge = node.edges()[i];
      if (edge.node || edge.leaf.defined()) deliver(node, i, edge, std::move(gradients[i]), pending);
    }
    if (!keep_graph) node.free();
  }
}

}  // namespace ds
