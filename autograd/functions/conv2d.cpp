#include "autograd/functions.h"
#include "autograd/functions/keep_if.h"
#include "autograd/tape.h"
#include "core/ops.h"

namespace ds {

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const Conv2dOptions& options) {
  const Tensor no_bias;
  Tensor y = ops::conv2d(x.value(), weight.value(), bias.defined() ? bias.value() : no_bias, options);
  return record({.kind = "conv2d", .inputs = {x, weight, bias}, .options = options}, std::move(y),
                [x = keep_if(weight.requires_grad(), x.value()), x_shape = x.shape(),
                 w = keep_if(x.requires_grad(), weight.value()), w_shape = weight.shape(),
                 has_db = bias.requires_grad(), options](const Tensor& dy) {
                  Gradients gradients(3);
                  if (w.defined()) gradients[0] = ops::conv2d_backward_data(dy, w, x_shape, options);
                  if (x.defined()) gradients[1] = ops::conv2d_backward_weight(dy, x, w_shape, options);
                  if (has_db) gradients[2] = ops::sum_to(dy, Shape{w_shape[0]});
                  return gradients;
                });
}

}  // namespace ds
