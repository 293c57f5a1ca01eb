#include "bench/onednn.h"

namespace ds::bench {

bool has_onednn() { return false; }
std::function<void()> onednn_conv2d(const cpu::Conv2dProblem& /*problem*/) { return {}; }

std::function<void()> onednn_integer_conv2d(const cpu::Conv2dProblem& /*problem*/) { return {}; }

}  // namespace ds::bench
