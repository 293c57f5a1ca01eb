// DeepShift-PS (paper, section 3.3): shift P and sign S are trained themselves.
//
//   forward   sign(round(S)) 2^round(P), half to even: 0 where |S| <= 0.5             core/shift/pow2.h
//   gradient  dP = g sign 2^round(P) ln 2 (0 where the sign is 0);  dS = g, unscaled
//   range     P in [p_min, 0] with p_min = -(2^(bits - 1) - 2), and e more where the format has an offset e,
//             after every optimizer step too; S is free
//   decay     of P through the loss: wd / 2 times the sum of 4^P over the unrounded P, those under a zero
//             sign included; optimizers refuse to decay it. Of S none in the paper; a little keeps it near 0
#pragma once

#include "layers/weights/weight.h"

namespace ds {

class ShiftPsWeight : public Weight {
 public:
  /// Takes two tensors of one shape and clamps the shift. Throws Error unless 2 <= bits <= 7. The format's
  /// method is PS.
  ShiftPsWeight(Tensor shift, Tensor sign, ShiftFormat format, const WeightOptions& options = {});
  ShiftPsWeight(Tensor shift, Tensor sign, int bits, const WeightOptions& options = {})
      : ShiftPsWeight(std::move(shift), std::move(sign), {.method = ShiftMethod::kPs, .bits = bits},
                      options) {}
  /// P = the integer nearest to log2 |w|, clamped into the range; S = sign(w). An exact 0 has sign 0 and the
  /// smallest shift.
  static std::unique_ptr<ShiftPsWeight> from_float(const Tensor& values, ShiftFormat format,
                                                   const WeightOptions& options = {});

  std::vector<NamedParameter> parameters() const override;
  Variable forward(bool training) const override;
  Tensor rounded() const override;
  int64_t clamp() override;
  std::optional<ShiftFormat> format() const override { return format_; }
  Variable decay_penalty() const override;
  std::string describe() const override { return describe_weight(format_); }
  const Shape& shape() const override { return shift_.shape(); }

 private:
  ShiftFormat format_;
  Variable shift_;
  Variable sign_;
};

}  // namespace ds
