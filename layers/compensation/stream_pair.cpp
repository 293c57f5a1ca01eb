#include "layers/compensation/stream_pair.h"

#include <utility>

namespace ds {

StreamPair::StreamPair(const Graph& graph, Tensor images, const StreamOptions& options)
    : graph_(graph),
      images_(images.size(0)),
      options_(options),
      float_(graph, images, options.batch),
      converted_(graph, std::move(images), options.batch) {}

void StreamPair::keep(int value) {
  if (kept_.contains(value)) return;
  std::set<int> kept = kept_;
  kept.insert(value);
  int64_t total = 0;
  for (const int each : needed_of(kept)) {
    if (each != 0) total += 2 * images_ * options_.bytes[static_cast<size_t>(each)];
  }
  if (total > options_.kept_bytes) return;
  float_.keep(value);
  converted_.keep(value);
  kept_ = std::move(kept);
  forget_unneeded();
}

void StreamPair::pass(size_t node) {
  options_.readers[node] = false;
  forget_unneeded();
}

/// Whether a reader to come reads a value, or something that is computed from it and not kept.
bool StreamPair::needed(int value, const std::set<int>& kept, std::map<int, bool>& known) const {
  if (const auto found = known.find(value); found != known.end()) return found->second;
  bool result = false;
  for (size_t i = 0; i < graph_.nodes.size() && !result; ++i) {
    const TracedNode& node = graph_.nodes[i];
    if (std::ranges::count(node.inputs, value) == 0) continue;
    const bool is_read = options_.readers[i] && node.inputs[0] == value;
    result = is_read || (!kept.contains(node.output) && needed(node.output, kept, known));
  }
  return known[value] = result;
}

std::set<int> StreamPair::needed_of(const std::set<int>& kept) const {
  std::map<int, bool> known;
  std::set<int> result;
  for (const int value : kept) {
    if (needed(value, kept, known)) result.insert(value);
  }
  return result;
}

void StreamPair::forget_unneeded() {
  std::set<int> kept = needed_of(kept_);
  for (const int value : kept_) {
    if (kept.contains(value)) continue;
    float_.forget(value);
    converted_.forget(value);
  }
  kept_ = std::move(kept);
}

}  // namespace ds
