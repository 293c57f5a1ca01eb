// Pooling: the maximum or the mean of each window, [N,H,W,C] to [N,H',W',C],
// H' = floor((H + 2 padding - kernel) / stride) + 1, or with ceil_mode rounded up as long as the last window
// begins within the input or the padding before it (PyTorch's rule); or the mean over H and W, [N,H,W,C] to
// [N,C].
#pragma once

#include <optional>

#include "core/op_options.h"
#include "layers/module.h"

namespace ds {

struct Pool2dLayerOptions {
  Size2d kernel = 2;
  std::optional<Size2d> stride = {};  // nothing: the kernel, windows side by side
  Size2d padding = 0;                 // at most half the kernel
  bool count_include_pad = true;      // average: divide by the whole window, or by what is inside the input
  bool ceil_mode = false;             // the number of windows is rounded up
};

/// What MaxPool2d and AvgPool2d have in common. Throws Error for sizes out of bounds.
class Pool2d : public Module {
 public:
  std::string describe() const override;

 protected:
  Pool2d(const char* name, const Pool2dLayerOptions& options);
  const Pool2dOptions& options() const { return options_; }

 private:
  const char* name_;
  Pool2dOptions options_;
};

class MaxPool2d : public Pool2d {
 public:
  explicit MaxPool2d(const Pool2dLayerOptions& options = {}) : Pool2d("MaxPool2d", options) {}
  Variable forward(const Variable& x) override;
};

class AvgPool2d : public Pool2d {
 public:
  explicit AvgPool2d(const Pool2dLayerOptions& options = {}) : Pool2d("AvgPool2d", options) {}
  Variable forward(const Variable& x) override;
};

class GlobalAvgPool2d : public Module {
 public:
  Variable forward(const Variable& x) override;
  std::string describe() const override { return "GlobalAvgPool2d()"; }
};

}  // namespace ds
