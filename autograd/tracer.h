// What record() hands its nodes to while trace() runs (autograd/trace.cpp).
#pragma once

#include <unordered_map>
#include <vector>

#include "autograd/tape.h"

namespace ds {

class Tracer {
 public:
  explicit Tracer(const Variable& input);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  /// The tracer of this thread, or null.
  static Tracer* current();

  /// Lists a call and returns its result, off the tape.
  Variable add(NodeInfo info, Tensor value);
  /// The list, when `output` is on it.
  Graph finish(const Variable& output) &&;

 private:
  int index_of(const Variable& variable);
  int append(const Variable& variable, TracedValue value);

  Graph graph_;
  std::unordered_map<const void*, int> indices_;  // by Variable::id()
  std::vector<Variable> held_;                    // so that no identity is used twice
};

}  // namespace ds
