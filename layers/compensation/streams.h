// The two streams of a conversion: values of a traced graph for all sample images, in the float network and
// in the one as converted so far. Only what the layers read is kept; the calls between them are evaluated
// again where they are needed, a batch at a time.
#pragma once

#include <map>
#include <vector>

#include "autograd/replay.h"

namespace ds {

class Stream {
 public:
  /// Copies the graph's constants. The graph must outlive it.
  Stream(const Graph& graph, const Tensor& images, int64_t batch);

  /// Rows [begin, end) of a value.
  Tensor rows(int value, int64_t begin, int64_t end) const;
  /// Keeps a value for all images.
  void keep(int value);
  void forget(int value);
  bool keeps(int value) const { return kept_.contains(value); }

  const Tensor& constant(int value) const { return constants_.at(value); }
  void set_constant(int value, const Tensor& tensor) { constants_[value] = tensor; }

 private:
  Tensor evaluate(int value, int64_t begin, int64_t end, std::map<int, Tensor>& known) const;

  const Graph& graph_;
  int64_t images_;
  int64_t batch_;
  std::map<int, Tensor> kept_;       // by value
  std::map<int, Tensor> constants_;  // leaves but the input
  std::vector<ReplayedCall> calls_;  // by node
};

}  // namespace ds
