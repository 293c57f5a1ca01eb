#include "autograd/functions.h"
#include "autograd/recompute.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

void check_shapes(const Variable& x, const Variable& gamma, const Variable& beta, const Tensor& running_mean,
                  const Tensor& running_variance) {
  DS_CHECK(x.shape().rank() >= 2, "[batch_norm] input has shape {}, expected N,...,C", x.shape().str());
  const Shape channels{x.size(-1)};
  const Shape found[] = {gamma.shape(), beta.shape(), running_mean.shape(), running_variance.shape()};
  const char* const names[] = {"gamma", "beta", "running mean", "running variance"};
  for (size_t i = 0; i < 4; ++i) {
    DS_CHECK(found[i] == channels, "[batch_norm] {} has shape {}, expected {} for input {}", names[i],
             found[i].str(), channels.str(), x.shape().str());
  }
}

/// What x is normalised with: the batch's statistics, or copies of the running ones.
ops::BatchStatistics statistics_of(const Tensor& x, const Tensor& running_mean,
                                   const Tensor& running_variance, const BatchNormOptions& options) {
  if (!options.training) return {.mean = running_mean.clone(), .variance = running_variance.clone()};
  DS_CHECK(x.shape().rows() > 1,
           "[batch_norm] training on input {}: {} value per channel, expected more than one", x.shape().str(),
           x.shape().rows());
  return ops::batch_norm_statistics(x);
}

/// In training, once the batch has been normalised: running += momentum (batch - running). The running
/// variance takes the unbiased one, n / (n - 1).
void update_running(const ops::BatchStatistics& batch, int64_t count, const BatchNormOptions& options,
                    Tensor& running_mean, Tensor& running_variance) {
  if (!options.training || recomputing()) return;
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  ops::lerp(batch.mean, options.momentum, running_mean);
  ops::lerp(ops::affine(batch.variance, unbiased, 0.0), options.momentum, running_variance);
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& given) {
  check_shapes(x, gamma, beta, running_mean, running_variance);
  BatchNormOptions options = given;
  options.training = given.training && !tracing();
  const ops::BatchStatistics statistics = statistics_of(x.value(), running_mean, running_variance, options);
  Tensor y = ops::batch_norm(x.value(), statistics, gamma.value(), beta.value(), options.eps);
  update_running(statistics, x.shape().rows(), options, running_mean, running_variance);
  return record({.kind = "batch_norm",
                 .inputs = {x, gamma, beta, statistics.mean, statistics.variance},
                 .options = options},
                std::move(y), [x = x.value(), gamma = gamma.value(), statistics, options](const Tensor& dy) {
                  ops::BatchNormGradients all =
                      ops::batch_norm_backward(dy, x, statistics, gamma, options.eps, options.training);
                  return Gradients{all.dx, all.dgamma, all.dbeta, {}, {}};
                });
}

Variable batch_norm_relu(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                         Tensor& running_variance, const Variable& shortcut,
                         const BatchNormOptions& options) {
  if (tracing()) {
    const Variable normalised = batch_norm(x, gamma, beta, running_mean, running_variance, options);
    return relu(shortcut.defined() ? normalised + shortcut : normalised);
  }
  check_shapes(x, gamma, beta, running_mean, running_variance);
  const ops::BatchStatistics statistics = statistics_of(x.value(), running_mean, running_variance, options);
  Tensor y = ops::batch_norm_relu(x.value(), statistics, gamma.value(), beta.value(),
                                  shortcut.defined() ? shortcut.value() : Tensor(), options.eps);
  update_running(statistics, x.shape().rows(), options, running_mean, running_variance);
  return record(
      {.kind = "batch_norm_relu", .inputs = {x, gamma, beta, shortcut}, .options = options}, y,
      [x = x.value(), y = shortcut.defined() ? y : Tensor(), gamma = gamma.value(), beta = beta.value(),
       statistics, options, residual = shortcut.requires_grad()](const Tensor& dy) {
        auto [norm, dshortcut] = ops::batch_norm_relu_backward(dy, x, y, statistics, gamma, beta, options.eps,
                                                               options.training, residual);
        return Gradients{norm.dx, norm.dgamma, norm.dbeta, dshortcut};
      });
}

}  // namespace ds
