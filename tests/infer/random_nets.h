// Random integer nets: every kind of node, odd sizes, sums that saturate.
#pragma once

#include <vector>

#include "core/random.h"
#include "infer/integer_net.h"

namespace ds::test {

class RandomNet {
 public:
  /// Weights of up to so many terms.
  explicit RandomNet(uint64_t seed, int most_terms = 2);

  infer::IntegerNet net() const { return infer::IntegerNet(nodes_); }
  /// Random pixels u8 [count,H,W,C].
  Tensor images(int64_t count);

 private:
  int64_t between(int64_t low, int64_t high);
  bool chance(int percent) { return between(1, 100) <= percent; }
  const infer::Node& node(int index) const { return nodes_[static_cast<size_t>(index)]; }
  int random_image();
  void add_input();
  void add_random();
  bool add_convolution(bool depthwise);
  bool add_pool(infer::NodeKind kind);
  void add_scale();
  bool add_sum();
  void add_subsample();
  void add_padding();
  bool add_concat();
  void add_clamp();
  void add_end();
  void add_hidden(int64_t count);
  void set_format(infer::Node& node);
  void set_filters(infer::Node& node, const Shape& shape);
  void set_rescale(infer::Node& node, double typical_sum);
  void set_shortcut(infer::Node& node);
  void add(infer::Node node);

  Generator generator_;
  int most_terms_;
  std::vector<infer::Node> nodes_;
};

}  // namespace ds::test
