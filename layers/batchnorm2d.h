// Batch normalisation over N, H and W: y = gamma (x - mean) / sqrt(variance + eps) + beta, x [N,...,C].
//
// Names are PyTorch's: parameters "weight" (gamma, starts at 1) and "bias" (beta, 0), buffers "running_mean"
// (0) and "running_var" (1). Training takes the batch's statistics and moves the running ones, evaluation
// takes the running ones.
#pragma once

#include "autograd/functions.h"
#include "layers/module.h"

namespace ds {

struct BatchNorm2dOptions {
  double eps = 1e-5;
  double momentum = 0.1;
};

class BatchNorm2d : public Module {
 public:
  /// Throws Error unless channels >= 1, eps > 0 and 0 <= momentum <= 1.
  explicit BatchNorm2d(int64_t channels, const BatchNorm2dOptions& options = {});

  Variable forward(const Variable& x) override;
  /// max(forward(x) + shortcut, 0) in one pass; the shortcut may be undefined.
  Variable with_relu(const Variable& x, const Variable& shortcut = {});
  std::string describe() const override;

 protected:
  std::vector<NamedParameter> own_parameters() const override;
  std::vector<NamedBuffer> own_buffers() override;

 private:
  BatchNormOptions function_options() const;

  BatchNorm2dOptions options_;
  Variable weight_;
  Variable bias_;
  Tensor running_mean_;
  Tensor running_var_;
};

/// The running means and variances of all batch norms of a network; they are the modules' own.
std::vector<Tensor*> running_statistics(Module& module);

}  // namespace ds
