#include "autograd/variable.h"

#include <utility>

#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {

struct Variable::State {
  Tensor value;
  Tensor grad;
  std::shared_ptr<uint64_t> version = std::make_shared<uint64_t>(0);
  bool requires_grad = false;
  std::shared_ptr<Node> node;
  std::function<void(Tensor&)> projection;
  std::string decay_forbidden;
  std::string retired;
  std::string name;

  ~State() { Node::release(std::move(node)); }
};

Variable::Variable(Tensor value, bool requires_grad) : state_(std::make_shared<State>()) {
  DS_CHECK(value.defined(), "[variable] there is no tensor");
  DS_CHECK(!requires_grad || is_float(value.dtype()),
           "[variable] {} cannot have a gradient, expected a float", name_of(value.dtype()));
  state_->value = std::move(value);
  state_->requires_grad = requires_grad;
}

Variable make_result(Tensor value, std::shared_ptr<Node> node) {
  Variable result(std::move(value), true);
  result.state_->node = std::move(node);
  return result;
}

Variable::State& Variable::state() const {
  DS_CHECK(defined(), "[variable] access to a variable that is not there");
  return *state_;
}

const Tensor& Variable::value() const { return state().value; }
Tensor& Variable::mutable_value() {
  ++*state().version;
  return state().value;
}
std::shared_ptr<const uint64_t> Variable::version() const { return state().version; }
bool Variable::requires_grad() const { return defined() && state_->requires_grad; }
const Tensor& Variable::grad() const { return state().grad; }
Tensor& Variable::mutable_grad() { return state().grad; }
void Variable::zero_grad() { state().grad = Tensor(); }
const std::shared_ptr<Node>& Variable::node() const { return state().node; }

void Variable::accumulate_grad(Tensor grad) {
  State& own = state();
  const TensorType expected = TensorType::of(own.value);
  DS_CHECK(grad.defined() && TensorType::of(grad) == expected, "[accumulate_grad] found {}, expected {}",
           grad.defined() ? TensorType::of(grad).str() : "no tensor", expected.str());
  if (!own.grad.defined()) {
    own.grad = grad.owns_memory() ? std::move(grad) : grad.clone();
  } else if (own.grad.owns_memory()) {
    ops::accumulate(grad, 1.0, own.grad);
  } else {
    own.grad = ops::arithmetic(Arithmetic::kAdd, own.grad, grad);
  }
}

void Variable::backward(bool keep_graph) const { ds::backward(*this, keep_graph); }

void Variable::set_projection(std::function<void(Tensor&)> projection) {
  state().projection = std::move(projection);
}

void Variable::project() {
  if (state().projection) state().projection(mutable_value());
}

void Variable::forbid_decay(std::string reason) { state().decay_forbidden = std::move(reason); }
const std::string& Variable::decay_forbidden() const { return state().decay_forbidden; }
void Variable::retire(std::string reason) { state().retired = std::move(reason); }
const std::string& Variable::retired() const { return state().retired; }
void Variable::set_name(std::string name) { state().name = std::move(name); }
const std::string& Variable::name() const { return state().name; }

}  // namespace ds
