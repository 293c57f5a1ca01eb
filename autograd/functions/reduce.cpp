#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

/// factor times the sum of all elements; every element's gradient is factor g.
Variable scaled_sum(const char* kind, const Variable& x, double factor) {
  const Tensor total = ops::sum_to(x.value(), Shape{});
  return record({.kind = kind, .inputs = {x}}, factor == 1.0 ? total : ops::affine(total, factor, 0.0),
                [shape = x.shape(), factor](const Tensor& dy) {
                  const Tensor zeros = Tensor::zeros(shape, dy.dtype(), dy.device());
                  return Gradients{ops::arithmetic(Arithmetic::kAdd, zeros, ops::affine(dy, factor, 0.0))};
                });
}

}  // namespace

Variable sum(const Variable& x) { return scaled_sum("sum", x, 1.0); }

Variable mean(const Variable& x) {
  const int64_t count = x.value().numel();
  DS_CHECK(count > 0, "[mean] input has shape {} and no elements", x.shape().str());
  return scaled_sum("mean", x, 1.0 / static_cast<double>(count));
}

}  // namespace ds
