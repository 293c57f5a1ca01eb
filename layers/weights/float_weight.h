// An ordinary weight: forward() is the parameter "weight" itself.
#pragma once

#include "layers/weights/weight.h"

namespace ds {

class FloatWeight : public Weight {
 public:
  explicit FloatWeight(Tensor values, const WeightOptions& options = {});

  std::vector<NamedParameter> parameters() const override;
  Variable forward(bool) const override { return weight_; }
  Tensor rounded() const override { return weight_.value(); }
  std::string describe() const override { return describe_weight({}); }
  const Shape& shape() const override { return weight_.shape(); }

 private:
  Variable weight_;
};

}  // namespace ds
