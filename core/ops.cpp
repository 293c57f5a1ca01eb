#include "core/ops.h"

#include <vector>

#include "core/backend.h"
#include "core/error.h"
#include "core/op_checks.h"
#include "core/shift/codes.h"

namespace ds::ops {
namespace {

const char* name_of_kind(Arithmetic kind) {
  switch (kind) {
    case Arithmetic::kAdd: return "add";
    case Arithmetic::kSubtract: return "subtract";
    case Arithmetic::kMultiply: return "multiply";
    case Arithmetic::kDivide: return "divide";
  }
  return "arithmetic";
}

void check_bounds(const char* op, double low, double high) {
  DS_CHECK(low <= high, "[{}] bounds {} and {}, expected low <= high", op, low, high);
}

/// Channels [from, from + count) of a tensor's last axis.
void check_channels(const Tensor& tensor, const char* name, int64_t from, int64_t count) {
  DS_CHECK(tensor.rank() >= 1 && from >= 0 && count >= 0 && from <= tensor.size(-1) - count,
           "[copy_channels] channels {} to {} of {} {}", from, from + count, name, tensor.shape().str());
}

void check_shift_options(const char* op, const ShiftRoundingOptions& options) {
  check_shift_range(op, options.range);
  DS_CHECK(options.rounding == Rounding::kNearest || options.rounding == Rounding::kStochastic,
           "[{}] powers of two are rounded to the nearest or stochastically, not down", op);
}

}  // namespace

Tensor arithmetic(Arithmetic kind, const Tensor& a, const Tensor& b) {
  const char* op = name_of_kind(kind);
  check_operands(op, {{"a", a}, {"b", b}});
  Tensor y = Tensor::empty(broadcast_shapes(a.shape(), b.shape(), op), a.dtype(), a.device());
  kernels(a.device()).arithmetic(kind, a, b, y);
  return y;
}

Tensor affine(const Tensor& x, double scale, double shift) {
  check_operands("affine", {{"input", x}});
  Tensor y = Tensor::like(x);
  kernels(x.device()).affine(x, scale, shift, y);
  return y;
}

void accumulate(const Tensor& x, double scale, Tensor& y) {
  check_alike("accumulate", {{"input", x}, {"target", y}});
  kernels(x.device()).accumulate(x, scale, y);
}

Tensor clamp(const Tensor& x, double low, double high) {
  check_operands("clamp", {{"input", x}});
  check_bounds("clamp", low, high);
  Tensor y = Tensor::like(x);
  kernels(x.device()).clamp(x, low, high, y);
  return y;
}

void clamp_in_place(Tensor& x, double low, double high) {
  check_operands("clamp", {{"input", x}});
  check_bounds("clamp", low, high);
  kernels(x.device()).clamp(x, low, high, x);
}

Tensor clamp_backward(const Tensor& dy, const Tensor& y, double low, double high) {
  check_alike("clamp_backward", {{"gradient", dy}, {"output", y}});
  check_bounds("clamp_backward", low, high);
  Tensor dx = Tensor::like(dy);
  kernels(dy.device()).clamp_backward(dy, y, low, high, dx);
  return dx;
}

Tensor dropout_mask(const Tensor& like, double p, Generator& generator) {
  check_operands("dropout", {{"input", like}});
  DS_CHECK(p >= 0.0 && p <= 1.0, "[dropout] probability {}, expected 0 to 1", p);
  Tensor mask = Tensor::like(like);
  const RandomSource random{.seed = generator.seed(),
                            .stream = generator.stream(),
                            .first = generator.reserve(static_cast<uint64_t>(mask.numel()))};
  kernels(mask.device()).dropout_mask(p, random, mask);
  return mask;
}

void copy_channels(const Tensor& x, int64_t from, int64_t count, Tensor& y, int64_t to) {
  check_same_type("copy_channels", {{"input", x}, {"target", y}});
  check_channels(x, "input", from, count);
  check_channels(y, "target", to, count);
  DS_CHECK(x.shape().with(-1, 1) == y.shape().with(-1, 1),
           "[copy_channels] input {} and target {}: all axes but the last must be equal", x.shape().str(),
           y.shape().str());
  kernels(x.device()).copy_channels(x, from, count, y, to);
}

Tensor sum_pow4(const Tensor& x) {
  check_operands("sum_pow4", {{"input", x}});
  Tensor y = Tensor::empty({}, x.dtype(), x.device());
  kernels(x.device()).sum_pow4(x, y);
  return y;
}

Tensor sum_pow4_backward(const Tensor& dy, const Tensor& x) {
  check_operands("sum_pow4_backward", {{"gradient", dy}, {"input", x}});
  check_one_element("sum_pow4_backward", "gradient", dy);
  Tensor dx = Tensor::like(x);
  kernels(x.device()).sum_pow4_backward(dy, x, dx);
  return dx;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check_operands("sum_to", {{"input", x}});
  DS_CHECK(broadcast_shapes(x.shape(), shape, "sum_to") == x.shape(), "[sum_to] {} is not broadcast to {}",
           shape.str(), x.shape().str());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels(x.device()).sum_to(x, y);
  return y;
}

double sum_squares(const Tensor& x) {
  check_operands("sum_squares", {{"input", x}});
  Tensor y = Tensor::empty({}, DType::kF64, x.device());
  kernels(x.device()).sum_squares(x, y);
  return y.item();
}

double sum_squares(std::span<const Tensor> tensors) {
  if (tensors.empty()) return 0.0;
  const Device device = tensors.front().device();
  const auto count = static_cast<int64_t>(tensors.size());
  const Tensor sums = Tensor::empty({count}, DType::kF64, device);
  for (int64_t i = 0; i < count; ++i) {
    const Tensor& x = tensors[static_cast<size_t>(i)];
    check_operands("sum_squares", {{"input", x}});
    DS_CHECK(x.device() == device, "[sum_squares] inputs are on {} and {}, expected one device", device.str(),
             x.device().str());
    Tensor y = sums.slice(i, i + 1).reshape({});
    kernels(device).sum_squares(x, y);
  }
  double total = 0.0;
  for (const double sum : sums.to_vector<double>()) total += sum;
  return total;
}

Extremes extremes(const Tensor& x) {
  check_operands("extremes", {{"input", x}});
  DS_CHECK(x.numel() >= 1, "[extremes] input {}, expected at least one element", x.shape().str());
  Tensor y = Tensor::empty({2}, DType::kF64, x.device());
  kernels(x.device()).extremes(x, y);
  const std::vector<double> values = y.to_vector<double>();
  return {.minimum = values[0], .maximum = values[1]};
}

Tensor argmax(const Tensor& x) {
  check_operands("argmax", {{"input", x}});
  DS_CHECK(x.rank() >= 1 && x.size(-1) >= 1, "[argmax] input {}, expected rows of at least one element",
           x.shape().str());
  Tensor y = Tensor::empty(Shape(x.shape().sizes().first(static_cast<size_t>(x.rank() - 1))), DType::kI64,
                           x.device());
  kernels(x.device()).argmax(x, y);
  return y;
}

Tensor gemm(const Tensor& a, const Tensor& b, const GemmOptions& options) {
  check_operands("gemm", {{"a", a}, {"b", b}});
  DS_CHECK(a.rank() == 2 && b.rank() == 2, "[gemm] a {} and b {}, expected matrices", a.shape().str(),
           b.shape().str());
  const int64_t inner_a = a.size(options.transpose_a ? 0 : 1);
  const int64_t inner_b = b.size(options.transpose_b ? 1 : 0);
  DS_CHECK(inner_a == inner_b, "[gemm] a {}{} has {} columns, b {}{} has {} rows", a.shape().str(),
           options.transpose_a ? " transposed" : "", inner_a, b.shape().str(),
           options.transpose_b ? " transposed" : "", inner_b);
  Tensor y = Tensor::empty({a.size(options.transpose_a ? 1 : 0), b.size(options.transpose_b ? 0 : 1)},
                           a.dtype(), a.device());
  kernels(a.device()).gemm(a, b, options, y);
  return y;
}

Tensor shift_q(const Tensor& w, const ShiftRoundingOptions& options) {
  check_operands("shift_q", {{"weight", w}});
  check_shift_options("shift_q", options);
  Tensor y = Tensor::like(w);
  kernels(w.device()).shift_q(w, options, y);
  return y;
}

Tensor shift_q_clamp(Tensor& w, ShiftRange range) {
  check_operands("shift_q_clamp", {{"weight", w}});
  check_shift_range("shift_q_clamp", range);
  Tensor zeros = Tensor::empty({}, DType::kI64, w.device());
  kernels(w.device()).shift_q_clamp(range, w, zeros);
  return zeros;
}

Tensor shift_ps(const Tensor& shift, const Tensor& sign, const ShiftRoundingOptions& options) {
  check_alike("shift_ps", {{"shift", shift}, {"sign", sign}});
  check_shift_options("shift_ps", options);
  Tensor y = Tensor::like(shift);
  kernels(shift.device()).shift_ps(shift, sign, options, y);
  return y;
}

Tensor shift_ps_backward(const Tensor& dy, const Tensor& y) {
  check_alike("shift_ps_backward", {{"gradient", dy}, {"output", y}});
  Tensor dshift = Tensor::like(dy);
  kernels(dy.device()).shift_ps_backward(dy, y, dshift);
  return dshift;
}

Tensor two_term(const Tensor& w, const ShiftFormat& format) {
  check_operands("two_term", {{"weight", w}});
  DS_CHECK(format.terms == 2, "[two_term] a format of {} terms, expected 2", format.terms);
  check_shift_range("two_term", format.range());
  Tensor y = Tensor::like(w);
  kernels(w.device()).two_term(w, format, y);
  return y;
}

Tensor fixed_point(const Tensor& x, const FixedPointOptions& options) {
  check_operands("fixed_point", {{"input", x}});
  check_bounds("fixed_point", options.low, options.high);
  DS_CHECK(options.fraction_bits >= -kMaxFractionBits && options.fraction_bits <= kMaxFractionBits,
           "[fixed_point] {} fraction bits, expected {} to {}", options.fraction_bits, -kMaxFractionBits,
           kMaxFractionBits);
  DS_CHECK(options.rounding == Rounding::kNearest || options.rounding == Rounding::kFloor,
           "[fixed_point] fixed point is rounded to the nearest or down, not stochastically");
  Tensor y = Tensor::like(x);
  kernels(x.device()).fixed_point(x, options, y);
  return y;
}

void sgd_step(const Tensor& gradient, const SgdStepOptions& options, Tensor& parameter, Tensor& momentum) {
  check_alike("sgd_step", {{"parameter", parameter}, {"gradient", gradient}});
  if (options.momentum != 0.0) check_alike("sgd_step", {{"parameter", parameter}, {"momentum", momentum}});
  kernels(parameter.device()).sgd_step(gradient, options, parameter, momentum);
}

void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second) {
  check_alike(
      "adam_step",
      {{"parameter", parameter}, {"gradient", gradient}, {"first moment", first}, {"second moment", second}});
  kernels(parameter.device()).adam_step(gradient, options, parameter, first, second);
}

void lerp(const Tensor& target, double weight, Tensor& y) {
  check_alike("lerp", {{"values", y}, {"target", target}});
  kernels(y.device()).lerp(target, weight, y);
}

}  // namespace ds::ops
