#include "layers/compensation/streams.h"

#include <algorithm>

namespace ds {

Stream::Stream(const Graph& graph, const Tensor& images, int64_t batch)
    : graph_(graph), images_(images.size(0)), batch_(batch) {
  kept_[0] = images;
  for (size_t i = 1; i < graph.values.size(); ++i) {
    const TracedValue& value = graph.values[i];
    if (value.producer < 0) constants_[static_cast<int>(i)] = value.value.clone();
  }
  for (const TracedNode& node : graph.nodes)
    calls_.push_back(replayed_call(node.kind, node.options, node.scope));
}

Tensor Stream::rows(int value, int64_t begin, int64_t end) const {
  std::map<int, Tensor> known;
  return evaluate(value, begin, end, known);
}

Tensor Stream::evaluate(int value, int64_t begin, int64_t end, std::map<int, Tensor>& known) const {
  if (value < 0) return {};
  if (const auto found = constants_.find(value); found != constants_.end()) return found->second;
  if (const auto found = kept_.find(value); found != kept_.end()) return found->second.slice(begin, end);
  if (const auto found = known.find(value); found != known.end()) return found->second;
  const auto node = static_cast<size_t>(graph_.values[static_cast<size_t>(value)].producer);
  std::vector<Tensor> inputs;
  for (const int input : graph_.nodes[node].inputs) inputs.push_back(evaluate(input, begin, end, known));
  return known[value] = calls_[node](inputs);
}

void Stream::keep(int value) {
  if (keeps(value)) return;
  Tensor all;
  for (int64_t begin = 0; begin < images_; begin += batch_) {
    const int64_t end = std::min(begin + batch_, images_);
    const Tensor part = rows(value, begin, end);
    if (!all.defined()) all = Tensor::empty(part.shape().with(0, images_), part.dtype());
    Tensor target = all.slice(begin, end);
    target.copy_from(part);
  }
  kept_[value] = all;
}

void Stream::forget(int value) { kept_.erase(value); }

}  // namespace ds
