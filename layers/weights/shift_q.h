// DeepShift-Q (paper, section 3.2): the trained weight is rounded to a signed power of two.
//
//   forward   sign(w) 2^p, p the integer nearest to log2 |w|            core/shift/pow2.h
//   gradient  identity to w, also at the ends of the range
//   range     |w| in [2^p_min, 1] with p_min = -(2^(bits - 1) - 1), both times 2^e where the format has an
//             offset e, after every optimizer step too; an exact 0 becomes the least
//   decay     the optimizer's, on w
#pragma once

#include "layers/weights/weight.h"

namespace ds {

class ShiftQWeight : public Weight {
 public:
  /// Takes the tensor and clamps it. Throws Error unless 2 <= bits <= 7. The format's method is Q.
  ShiftQWeight(Tensor values, ShiftFormat format, const WeightOptions& options = {});
  ShiftQWeight(Tensor values, int bits, const WeightOptions& options = {})
      : ShiftQWeight(std::move(values), {.method = ShiftMethod::kQ, .bits = bits}, options) {}

  std::vector<NamedParameter> parameters() const override;
  Variable forward(bool training) const override;
  Tensor rounded() const override;
  int64_t clamp() override;
  std::optional<ShiftFormat> format() const override { return format_; }
  std::string describe() const override { return describe_weight(format_); }
  const Shape& shape() const override { return weight_.shape(); }

 private:
  ShiftFormat format_;
  Variable weight_;
};

}  // namespace ds
