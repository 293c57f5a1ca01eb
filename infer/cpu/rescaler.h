// The rescaling of a node, with its parameters in the form that the row kernels take.
#pragma once

#include <vector>

#include "infer/cpu/step.h"

namespace ds::infer {

class Rescaler {
 public:
  /// `repeats` times the parameters one after the other, for rows of several pixels without a panel between
  /// them.
  explicit Rescaler(const StepSource& source, int64_t repeats = 1);

  /// Whether sums must be i64.
  bool wide() const { return wide_; }
  /// What tiles of channels [first, first + count) have in common. The caller adds their sums, pixels,
  /// values and, if there is one, shortcut.
  RescaleTile tile(int64_t first, int64_t count) const;
  void run(const RescaleTile& tile) const { kernel_(tile); }

 private:
  RescaleKernel kernel_;
  bool wide_;
  int pre_shift_;
  int32_t low_;
  int32_t high_;
  std::vector<int32_t> multiplier_;
  std::vector<int32_t> addend_;  // with the rounding in it
  std::vector<int64_t> wide_addend_;
  std::vector<int32_t> shift_;
  std::vector<int32_t> shortcut_shift_;
};

}  // namespace ds::infer
