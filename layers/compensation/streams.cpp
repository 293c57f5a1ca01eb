#include "layers/compensation/streams.h"

#include <algorithm>
#include <utility>

#include "core/ops.h"

namespace ds {

Stream::Stream(const Graph& graph, Tensor images, int64_t batch)
    : graph_(graph), images_(images.size(0)), batch_(batch) {
  kept_[0] = std::move(images);
  for (size_t i = 1; i < graph.values.size(); ++i) {
    const TracedValue& value = graph.values[i];
    if (value.producer < 0) constants_[static_cast<int>(i)] = value.value;
  }
  for (const TracedNode& node : graph.nodes)
    calls_.push_back(replayed_call(node.kind, node.options, node.scope));
}

Tensor Stream::at_hand(int value, int64_t begin, int64_t end) const {
  if (const auto found = constants_.find(value); found != constants_.end()) return found->second;
  if (const auto found = kept_.find(value); found != kept_.end()) {
    return rounded(value, found->second.slice(begin, end));
  }
  return {};
}

Tensor Stream::rounded(int value, const Tensor& tensor) const {
  const auto format = formats_.find(value);
  return format == formats_.end() ? tensor : ops::fixed_point(tensor, format->second);
}

Tensor Stream::rows(int value, int64_t begin, int64_t end) const {
  if (Tensor known = at_hand(value, begin, end); known.defined()) return known;
  if (end - begin <= batch_) return computed(value, begin, end);
  Tensor all;
  for (int64_t first = begin; first < end; first += batch_) {
    const Tensor part = computed(value, first, std::min(first + batch_, end));
    if (!all.defined()) all = Tensor::empty(part.shape().with(0, end - begin), part.dtype());
    Tensor target = all.slice(first - begin, first - begin + part.size(0));
    target.copy_from(part);
  }
  return all;
}

/// Evaluates what the value is made of, each part for no longer than it is needed.
Tensor Stream::computed(int value, int64_t begin, int64_t end) const {
  std::map<int, int> uses = {{value, 1}};  // of what must be evaluated
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    if (!uses.contains(graph_.nodes[i].output)) continue;
    for (const int input : graph_.nodes[i].inputs) {
      if (input >= 0 && !constants_.contains(input) && !kept_.contains(input)) ++uses[input];
    }
  }
  std::map<int, Tensor> alive;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    const TracedNode& node = graph_.nodes[i];
    if (!uses.contains(node.output)) continue;
    std::vector<Tensor> inputs;
    for (const int input : node.inputs) {
      const auto found = alive.find(input);
      inputs.push_back(found != alive.end() ? found->second : at_hand(input, begin, end));
    }
    alive[node.output] = rounded(node.output, calls_[i](inputs));
    for (const int input : node.inputs) {
      if (const auto found = alive.find(input); found != alive.end() && --uses[input] == 0)
        alive.erase(found);
    }
  }
  return alive.at(value);
}

void Stream::keep(int value) {
  if (!keeps(value)) kept_[value] = rows(value, 0, images_);
}

void Stream::forget(int value) { kept_.erase(value); }

}  // namespace ds
