#include "layers/weights/weight.h"

#include "core/error.h"
#include "layers/weights/float_weight.h"
#include "layers/weights/shift_ps.h"
#include "layers/weights/shift_q.h"
#include "layers/weights/two_term.h"

namespace ds {

Weight::Weight(const WeightOptions& options) : options_(options) {
  DS_CHECK(options_.rounding == Rounding::kNearest || options_.rounding == Rounding::kStochastic,
           "[weight] rounding is floor, expected nearest or stochastic");
}

WeightPtr make_weight(const std::optional<ShiftFormat>& format, const Tensor& values,
                      const WeightOptions& options) {
  if (!format) return std::make_unique<FloatWeight>(values.clone(), options);
  if (format->terms == 2) return std::make_unique<TwoTermWeight>(values.clone(), *format, options);
  switch (format->method) {
    case ShiftMethod::kQ: return std::make_unique<ShiftQWeight>(values.clone(), *format, options);
    case ShiftMethod::kPs: return ShiftPsWeight::from_float(values, *format, options);
  }
  fail("[weight] unknown method {}, expected q or ps", static_cast<int>(format->method));
}

std::string describe_weight(const std::optional<ShiftFormat>& format) {
  if (!format) return "float";
  const std::string offset = format->offset == 0 ? "" : fmt::format(" 2^{}", format->offset);
  return fmt::format("shift-{} {} bits{}", name_of(format->method), format->bits_str(), offset);
}

}  // namespace ds
