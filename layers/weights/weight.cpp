#include "layers/weights/weight.h"

#include "core/error.h"
#include "layers/weights/float_weight.h"
#include "layers/weights/shift_ps.h"
#include "layers/weights/shift_q.h"

namespace ds {

Weight::Weight(const WeightOptions& options) : options_(options) {
  DS_CHECK(options_.rounding == Rounding::kNearest || options_.rounding == Rounding::kStochastic,
           "[weight] rounding is floor, expected nearest or stochastic");
}

WeightPtr make_weight(const std::optional<ShiftFormat>& format, const Tensor& values,
                      const WeightOptions& options) {
  if (!format) return std::make_unique<FloatWeight>(values.clone(), options);
  switch (format->method) {
    case ShiftMethod::kQ: return std::make_unique<ShiftQWeight>(values.clone(), format->bits, options);
    case ShiftMethod::kPs: return ShiftPsWeight::from_float(values, format->bits, options);
  }
  fail("[weight] unknown method {}, expected q or ps", static_cast<int>(format->method));
}

std::string describe_weight(const std::optional<ShiftFormat>& format) {
  return format ? fmt::format("shift-{} {} bits", name_of(format->method), format->bits) : "float";
}

}  // namespace ds
