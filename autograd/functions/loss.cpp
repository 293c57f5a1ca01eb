#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

/// Rows of probabilities, from labels or as they are.
Tensor target_rows(const Variable& logits, const Tensor& targets, double label_smoothing) {
  DS_CHECK(logits.shape().rank() == 2, "[cross_entropy] logits have shape {}, expected [N,C]",
           logits.shape().str());
  DS_CHECK(label_smoothing >= 0.0 && label_smoothing < 1.0,
           "[cross_entropy] label smoothing is {}, expected 0 <= s < 1", label_smoothing);
  if (targets.dtype() == DType::kI64) {
    DS_CHECK(targets.shape() == Shape{logits.size(0)},
             "[cross_entropy] labels have shape {}, expected [{}] for logits {}", targets.shape().str(),
             logits.size(0), logits.shape().str());
    return ops::one_hot(targets, logits.size(1), label_smoothing, logits.dtype());
  }
  DS_CHECK(targets.shape() == logits.shape() && is_float(targets.dtype()),
           "[cross_entropy] targets are {} {}, expected i64 labels [{}] or probabilities {}",
           name_of(targets.dtype()), targets.shape().str(), logits.size(0), logits.shape().str());
  DS_CHECK(label_smoothing == 0.0,
           "[cross_entropy] label smoothing {} with targets that are probabilities: expected labels",
           label_smoothing);
  return targets.to(logits.dtype());
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  const Tensor rows = target_rows(logits, targets, options.label_smoothing);
  ops::CrossEntropyResult result = ops::cross_entropy(logits.value(), rows);
  return record({.kind = "cross_entropy", .inputs = {logits, rows}, .options = options},
                std::move(result.loss), [probabilities = result.probabilities, rows](const Tensor& dloss) {
                  return Gradients{ops::cross_entropy_backward(dloss, probabilities, rows), {}};
                });
}

}  // namespace ds
