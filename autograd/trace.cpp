#include <utility>

#include "autograd/tracer.h"
#include "core/error.h"

namespace ds {
namespace {

thread_local Tracer* current_tracer = nullptr;
thread_local std::string current_scope;

std::string describe(const Graph& graph, size_t node) {
  if (node >= graph.nodes.size()) return "nothing";
  const TracedNode& call = graph.nodes[node];
  return call.scope.empty() ? call.kind : fmt::format("{} in {}", call.kind, call.scope);
}

bool same_call(const TracedNode& one, const TracedNode& two) {
  return one.kind == two.kind && one.scope == two.scope && one.inputs == two.inputs &&
         one.output == two.output && one.options.type() == two.options.type();
}

/// Whether a value made from one row may become `two` when made from two: the same, or twice the rows.
bool fits_batch(const Shape& one, const Shape& two) {
  return one == two || (one.rank() >= 1 && one.with(0, 2 * one[0]) == two);
}

/// Leaves other than the input are constants: they must not grow with the batch.
bool same_values(const Graph& one, const Graph& two, const TracedNode& call) {
  const auto fits = [&](int index) {
    const TracedValue& value = one.values[static_cast<size_t>(index)];
    const Shape& other = two.values[static_cast<size_t>(index)].value.shape();
    const bool constant = value.producer < 0 && index != 0;
    return constant ? value.value.shape() == other : fits_batch(value.value.shape(), other);
  };
  for (const int input : call.inputs) {
    if (input >= 0 && !fits(input)) return false;
  }
  return fits(call.output);
}

void check_equal(const Graph& one, const Graph& two) {
  const size_t count = std::max(one.nodes.size(), two.nodes.size());
  for (size_t i = 0; i < count; ++i) {
    const bool both = i < one.nodes.size() && i < two.nodes.size();
    DS_CHECK(both && same_call(one.nodes[i], two.nodes[i]) && same_values(one, two, one.nodes[i]),
             "[trace] the graph depends on the batch size: node {} is {} for one row, {} for two{}", i,
             describe(one, i), describe(two, i), both ? ", with other inputs or shapes" : "");
  }
  DS_CHECK(one.output == two.output,
           "[trace] the graph depends on the batch size: the output is value {} for "
           "one row, {} for two",
           one.output, two.output);
}

Graph trace_once(const std::function<Variable(const Variable&)>& function, const Tensor& rows) {
  const Variable input(rows);
  Tracer tracer(input);
  const Variable output = function(input);
  return std::move(tracer).finish(output);
}

/// The first two rows; the first one twice where there is one only.
Tensor two_rows(const Tensor& sample) {
  if (sample.size(0) >= 2) return sample.slice(0, 2);
  Tensor rows = Tensor::empty(sample.shape().with(0, 2), sample.dtype(), sample.device());
  for (int64_t row = 0; row < 2; ++row) rows.slice(row, row + 1).copy_from(sample);
  return rows;
}

}  // namespace

Tracer::Tracer(const Variable& input) {
  DS_CHECK(current_tracer == nullptr, "[trace] a trace is running on this thread already");
  append(input, {.value = input.value(), .name = "input"});
  current_tracer = this;
}

Tracer::~Tracer() { current_tracer = nullptr; }

Tracer* Tracer::current() { return current_tracer; }

int Tracer::append(const Variable& variable, TracedValue value) {
  const int index = static_cast<int>(graph_.values.size());
  graph_.values.push_back(std::move(value));
  indices_[variable.id()] = index;
  held_.push_back(variable);
  return index;
}

int Tracer::index_of(const Variable& variable) {
  if (!variable.defined()) return -1;
  const auto found = indices_.find(variable.id());
  if (found != indices_.end()) return found->second;
  return append(variable, {.value = variable.value(), .name = variable.name()});
}

Variable Tracer::add(NodeInfo info, Tensor value) {
  TracedNode node{.kind = std::move(info.kind), .scope = current_scope, .options = std::move(info.options)};
  for (const Variable& input : info.inputs) node.inputs.push_back(index_of(input));
  Variable result(value);
  node.output =
      append(result, {.value = std::move(value), .producer = static_cast<int>(graph_.nodes.size())});
  graph_.nodes.push_back(std::move(node));
  return result;
}

Graph Tracer::finish(const Variable& output) && {
  const auto found = output.defined() ? indices_.find(output.id()) : indices_.end();
  DS_CHECK(
      found != indices_.end(),
      "[trace] the output was not made by recorded functions: detach() and work on plain tensors are lost");
  graph_.output = found->second;
  return std::move(graph_);
}

bool tracing() { return current_tracer != nullptr; }

Graph trace(const std::function<Variable(const Variable&)>& function, const Tensor& sample) {
  DS_CHECK(sample.rank() >= 1 && sample.size(0) >= 1,
           "[trace] sample has shape {}, expected N,... with N >= 1", sample.shape().str());
  const NoGrad no_grad;
  Graph graph = trace_once(function, sample.slice(0, 1));
  check_equal(graph, trace_once(function, two_rows(sample)));
  return graph;
}

TraceScope::TraceScope(const std::string& name) : previous_length_(current_scope.size()) {
  if (!current_scope.empty() && !name.empty()) current_scope += '.';
  current_scope += name;
}

TraceScope::~TraceScope() { current_scope.resize(previous_length_); }

}  // namespace ds
