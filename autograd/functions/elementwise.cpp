#include <limits>

#include "autograd/functions.h"
#include "autograd/functions/keep_if.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An input that may have been broadcast: whether it needs a gradient, and of which shape.
struct Operand {
  explicit Operand(const Variable& input) : needed(input.requires_grad()), shape(input.shape()) {}

  /// The gradient summed over the broadcast axes.
  Tensor reduce(const Tensor& gradient) const {
    return gradient.shape() == shape ? gradient : ops::sum_to(gradient, shape);
  }

  bool needed;
  Shape shape;
};

/// min(max(x, 0), high).
Variable rectify(const char* kind, const Variable& x, double high) {
  Tensor y = ops::clamp(x.value(), 0.0, high);
  return record({.kind = kind, .inputs = {x}}, y,
                [y, high](const Tensor& dy) { return Gradients{ops::clamp_backward(dy, y, 0.0, high)}; });
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  return record({.kind = "add", .inputs = {a, b}}, ops::arithmetic(Arithmetic::kAdd, a.value(), b.value()),
                [a = Operand(a), b = Operand(b)](const Tensor& dy) {
                  return Gradients{a.needed ? a.reduce(dy) : Tensor(), b.needed ? b.reduce(dy) : Tensor()};
                });
}

Variable subtract(const Variable& a, const Variable& b) {
  return record({.kind = "subtract", .inputs = {a, b}},
                ops::arithmetic(Arithmetic::kSubtract, a.value(), b.value()),
                [a = Operand(a), b = Operand(b)](const Tensor& dy) {
                  return Gradients{a.needed ? a.reduce(dy) : Tensor(),
                                   b.needed ? ops::affine(b.reduce(dy), -1.0, 0.0) : Tensor()};
                });
}

Variable multiply(const Variable& a, const Variable& b) {
  return record({.kind = "multiply", .inputs = {a, b}},
                ops::arithmetic(Arithmetic::kMultiply, a.value(), b.value()),
                [a_in = Operand(a), b_in = Operand(b), a = keep_if(b.requires_grad(), a.value()),
                 b = keep_if(a.requires_grad(), b.value())](const Tensor& dy) {
                  Gradients gradients(2);
                  if (a_in.needed) gradients[0] = a_in.reduce(ops::arithmetic(Arithmetic::kMultiply, dy, b));
                  if (b_in.needed) gradients[1] = b_in.reduce(ops::arithmetic(Arithmetic::kMultiply, dy, a));
                  return gradients;
                });
}

Variable divide(const Variable& a, const Variable& b) {
  const Tensor y = ops::arithmetic(Arithmetic::kDivide, a.value(), b.value());
  return record({.kind = "divide", .inputs = {a, b}}, y,
                [a_in = Operand(a), b_in = Operand(b), b = b.value(),
                 y = keep_if(b.requires_grad(), y)](const Tensor& dy) {
                  const Tensor over_b = ops::arithmetic(Arithmetic::kDivide, dy, b);
                  Gradients gradients(2);
                  if (a_in.needed) gradients[0] = a_in.reduce(over_b);
                  if (b_in.needed) {
                    const Tensor product = ops::arithmetic(Arithmetic::kMultiply, over_b, y);
                    gradients[1] = ops::affine(b_in.reduce(product), -1.0, 0.0);
                  }
                  return gradients;
                });
}

Variable affine(const Variable& x, const AffineOptions& options) {
  return record({.kind = "affine", .inputs = {x}, .options = options},
                ops::affine(x.value(), options.scale, options.shift),
                [scale = options.scale](const Tensor& dy) { return Gradients{ops::affine(dy, scale, 0.0)}; });
}

Variable relu(const Variable& x) { return rectify("relu", x, kInfinity); }
Variable relu6(const Variable& x) { return rectify("relu6", x, 6.0); }

Variable dropout(const Variable& x, const DropoutOptions& options, Generator& generator) {
  DS_CHECK(options.p >= 0.0 && options.p < 1.0, "[dropout] p is {}, expected 0 <= p < 1", options.p);
  if (!options.training || tracing() || options.p == 0.0) return x;
  const Tensor mask = ops::dropout_mask(x.value(), options.p, generator);
  return record({.kind = "dropout", .inputs = {x}, .options = options},
                ops::arithmetic(Arithmetic::kMultiply, x.value(), mask), [mask](const Tensor& dy) {
                  return Gradients{ops::arithmetic(Arithmetic::kMultiply, dy, mask)};
                });
}

}  // namespace ds
