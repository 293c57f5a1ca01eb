#include "layers/weights/rounding.h"

#include "autograd/tape.h"
#include "core/random.h"

namespace ds {

ShiftRoundingOptions shift_rounding(const Weight& weight, bool training) {
  ShiftRoundingOptions options{.range = weight.format()->range()};
  if (!training || tracing() || weight.options().rounding != Rounding::kStochastic) return options;
  Generator& generator = default_generator();
  options.rounding = Rounding::kStochastic;
  options.random = {.seed = generator.seed(),
                    .stream = generator.stream(),
                    .first = generator.reserve(static_cast<uint64_t>(weight.shape().numel()))};
  return options;
}

}  // namespace ds
