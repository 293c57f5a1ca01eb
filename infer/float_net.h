// A network in float arithmetic made ready for inference: traced, fused (infer/fuse.h), its filters packed
// once (core/cpu/conv2d/fused_conv2d.h). The twin of an integer net: the same graph, the other arithmetic.
//
//   const infer::FloatNet net(trace(*network, sample));
//   const Tensor logits = net(images);
//
// Results differ from the network's by the order of float operations alone. CPU, f32.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "infer/fuse.h"

namespace ds::infer {

struct FloatNetOptions {
  int64_t batch = 1;  // that algorithms are chosen for; any other is computed too
};

class FloatNet {
 public:
  /// Takes the engine and instruction set in use. Throws Error naming a call that it does not know, and its
  /// place.
  explicit FloatNet(const Graph& graph, const FloatNetOptions& options = {});

  /// images N,H,W,C as traced, but for N. May be called from many threads at once.
  Tensor operator()(const Tensor& images) const;

  /// A line a step: place, call, what is fused with it, output, and for convolutions the algorithm and why.
  std::string str() const;

 private:
  using Inputs = std::vector<Tensor>;
  struct Step {
    std::string place;
    std::string description;
    std::vector<int> inputs = {};  // the shortcut last
    int output = 0;
    std::vector<int> last_uses = {};  // values that nobody needs after this step
    std::function<Tensor(const Inputs& inputs)> run = {};
  };

  static Step make_step(const FusedStep& fused, const std::vector<Shape>& shapes, int64_t batch);

  Shape input_;  // with N = 1
  std::vector<Step> steps_;
  size_t values_ = 0;
  int output_ = 0;
};

}  // namespace ds::infer
