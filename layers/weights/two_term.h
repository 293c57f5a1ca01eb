// A weight that is the sum of two signed powers of two: a trained float, rounded to the nearest such sum.
//
//   forward   the level nearest to w in the linear domain, +-2^a +- 2^b, and with PS also +-2^a and 0
//                                                                       core/shift/levels.h
//   gradient  identity to w
//   range     |w| <= 2^(p_max + 1), after every optimizer step too
//   decay     the optimizer's, on w
//
// With either method what is trained is one float: the method only says whether a term may be 0.
#pragma once

#include "layers/weights/weight.h"

namespace ds {

class TwoTermWeight : public Weight {
 public:
  /// Takes the tensor and clamps it. The format has two terms. Throws Error unless 2 <= bits <= 5, and for
  /// stochastic rounding.
  TwoTermWeight(Tensor values, ShiftFormat format, const WeightOptions& options = {});

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
