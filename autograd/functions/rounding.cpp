#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/ops.h"
#include "core/shift/codes.h"

namespace ds {
namespace {

/// The gradient of a rounding as if it were the identity.
Gradients straight_through(const Tensor& dy) { return {dy}; }

}  // namespace

Variable shift_q(const Variable& weight, const ShiftRoundingOptions& options) {
  return record({.kind = "shift_q", .inputs = {weight}, .options = options},
                ops::shift_q(weight.value(), options), straight_through);
}

Variable shift_ps(const Variable& shift, const Variable& sign, const ShiftRoundingOptions& options) {
  Tensor y = ops::shift_ps(shift.value(), sign.value(), options);
  return record({.kind = "shift_ps", .inputs = {shift, sign}, .options = options}, y,
                [y, has_dshift = shift.requires_grad()](const Tensor& dy) {
                  return Gradients{has_dshift ? ops::shift_ps_backward(dy, y) : Tensor(), dy};
                });
}

Variable two_term(const Variable& weight, const ShiftFormat& format) {
  return record({.kind = "two_term", .inputs = {weight}, .options = format},
                ops::two_term(weight.value(), format), straight_through);
}

Variable fixed_point(const Variable& x, const FixedPointOptions& options) {
  return record({.kind = "fixed_point", .inputs = {x}, .options = options},
                ops::fixed_point(x.value(), options), straight_through);
}

Variable sum_pow4(const Variable& x) {
  return record({.kind = "sum_pow4", .inputs = {x}}, ops::sum_pow4(x.value()),
                [x = x.value()](const Tensor& dy) { return Gradients{ops::sum_pow4_backward(dy, x)}; });
}

}  // namespace ds
