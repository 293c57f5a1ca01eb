#include "layers/weights/shift_ps.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "core/ops.h"
#include "layers/weights/rounding.h"

namespace ds {

ShiftPsWeight::ShiftPsWeight(Tensor shift, Tensor sign, ShiftFormat format, const WeightOptions& options)
    : Weight(options), format_(format), shift_(std::move(shift), true), sign_(std::move(sign), true) {
  DS_CHECK(shift_.shape() == sign_.shape(), "[shift_ps] shift has shape {}, sign {}, expected one shape",
           shift_.shape().str(), sign_.shape().str());
  shift_.set_projection([range = format_.range()](Tensor& shift_value) {
    ops::clamp_in_place(shift_value, range.p_min, range.p_max);
  });
  shift_.forbid_decay(
      "it is P of shift-ps weights: group by parameter_groups(), and add decay_loss() to the loss");
  ShiftPsWeight::clamp();
}

std::unique_ptr<ShiftPsWeight> ShiftPsWeight::from_float(const Tensor& values, ShiftFormat format,
                                                         const WeightOptions& options) {
  const ShiftRange range = format.range();
  const Tensor host = values.to(Device{});
  Tensor shift = Tensor::like(host);
  Tensor sign = Tensor::like(host);
  dispatch_float(values.dtype(), "shift_ps", [&](auto zero) {
    using T = decltype(zero);
    const T* w = host.data<T>();
    T* p = shift.data<T>();
    T* s = sign.data<T>();
    for (int64_t i = 0; i < host.numel(); ++i) {
      p[i] = static_cast<T>(pow2::clamp_exponent(pow2::nearest_log2(w[i]), range));
      s[i] = w[i] > T{0} ? T{1} : (w[i] < T{0} ? T{-1} : T{0});
    }
  });
  return std::make_unique<ShiftPsWeight>(shift.to(values.device()), sign.to(values.device()), format,
                                         options);
}

std::vector<NamedParameter> ShiftPsWeight::parameters() const {
  return {{.name = "shift", .value = shift_, .role = ParameterRole::kShift, .layout = options().layout},
          {.name = "sign", .value = sign_, .role = ParameterRole::kSign, .layout = options().layout}};
}

Variable ShiftPsWeight::forward(bool training) const {
  return shift_ps(shift_, sign_, shift_rounding(*this, training));
}

Tensor ShiftPsWeight::rounded() const {
  return ops::shift_ps(shift_.value(), sign_.value(), {.range = format_.range()});
}

int64_t ShiftPsWeight::clamp() {
  shift_.project();
  return 0;
}

Variable ShiftPsWeight::decay_penalty() const { return sum_pow4(shift_); }

}  // namespace ds
