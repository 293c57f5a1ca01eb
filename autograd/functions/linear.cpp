#include "autograd/functions.h"
#include "autograd/functions/keep_if.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {

Variable matmul(const Variable& a, const Variable& b) {
  DS_CHECK(a.shape().rank() == 2 && b.shape().rank() == 2 && a.size(1) == b.size(0),
           "[matmul] {} times {}, expected [M,K] times [K,N]", a.shape().str(), b.shape().str());
  return record({.kind = "matmul", .inputs = {a, b}}, ops::gemm(a.value(), b.value()),
                [a = keep_if(b.requires_grad(), a.value()),
                 b = keep_if(a.requires_grad(), b.value())](const Tensor& dy) {
                  return Gradients{b.defined() ? ops::gemm(dy, b, {.transpose_b = true}) : Tensor(),
                                   a.defined() ? ops::gemm(a, dy, {.transpose_a = true}) : Tensor()};
                });
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
  const Shape& w = weight.shape();
  DS_CHECK(x.shape().rank() == 2 && w.rank() == 2 && x.size(1) == w[1],
           "[linear] input {} with weight {}, expected [N,I] with [O,I]", x.shape().str(), w.str());
  DS_CHECK(!bias.defined() || bias.shape() == Shape{w[0]}, "[linear] bias has shape {}, expected [{}]",
           bias.shape().str(), w[0]);
  Tensor y = ops::gemm(x.value(), weight.value(), {.transpose_b = true});
  if (bias.defined()) y = ops::arithmetic(Arithmetic::kAdd, y, bias.value());
  return record(
      {.kind = "linear", .inputs = {x, weight, bias}}, std::move(y),
      [x = keep_if(weight.requires_grad(), x.value()), w = keep_if(x.requires_grad(), weight.value()),
       has_db = bias.requires_grad()](const Tensor& dy) {
        return Gradients{w.defined() ? ops::gemm(dy, w) : Tensor(),
                         x.defined() ? ops::gemm(dy, x, {.transpose_a = true}) : Tensor(),
                         has_db ? ops::sum_to(dy, Shape{dy.size(1)}) : Tensor()};
      });
}

}  // namespace ds
