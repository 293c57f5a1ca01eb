#include "layers/weights/shift_q.h"

#include "autograd/functions.h"
#include "core/ops.h"
#include "layers/weights/rounding.h"

namespace ds {

ShiftQWeight::ShiftQWeight(Tensor values, ShiftFormat format, const WeightOptions& options)
    : Weight(options), format_(format), weight_(std::move(values), true) {
  weight_.set_projection([range = format_.range()](Tensor& weight) { ops::shift_q_clamp(weight, range); });
  ShiftQWeight::clamp();
}

std::vector<NamedParameter> ShiftQWeight::parameters() const {
  return {{.name = "weight", .value = weight_, .layout = options().layout}};
}

Variable ShiftQWeight::forward(bool training) const {
  return shift_q(weight_, shift_rounding(*this, training));
}

Tensor ShiftQWeight::rounded() const { return ops::shift_q(weight_.value(), {.range = format_.range()}); }

int64_t ShiftQWeight::clamp() {
  return ops::shift_q_clamp(weight_.mutable_value(), format_.range()).to_vector<int64_t>().front();
}

}  // namespace ds
