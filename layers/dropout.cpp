#include "layers/dropout.h"

#include "autograd/functions.h"
#include "core/error.h"

namespace ds {

Dropout::Dropout(double p) : p_(p) {
  DS_CHECK(p >= 0.0 && p < 1.0, "[dropout] p is {}, expected 0 <= p < 1", p);
}

Variable Dropout::forward(const Variable& x) { return dropout(x, {.p = p_, .training = training()}); }

std::string Dropout::describe() const { return fmt::format("Dropout({})", p_); }

}  // namespace ds
