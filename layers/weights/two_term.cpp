#include "layers/weights/two_term.h"

#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {

TwoTermWeight::TwoTermWeight(Tensor values, ShiftFormat format, const WeightOptions& options)
    : Weight(options), format_(format), weight_(std::move(values), true) {
  DS_CHECK(options.rounding == Rounding::kNearest,
           "[two_term] rounding is stochastic, expected nearest: weights of two terms have no other");
  weight_.set_projection([top = std::ldexp(1.0, format.range().p_max + 1)](Tensor& weight) {
    ops::clamp_in_place(weight, -top, top);
  });
  TwoTermWeight::clamp();
}

std::vector<NamedParameter> TwoTermWeight::parameters() const {
  return {{.name = "weight", .value = weight_, .layout = options().layout}};
}

Variable TwoTermWeight::forward(bool) const { return two_term(weight_, format_); }

Tensor TwoTermWeight::rounded() const { return ops::two_term(weight_.value(), format_); }

int64_t TwoTermWeight::clamp() {
  weight_.project();
  return 0;
}

}  // namespace ds
