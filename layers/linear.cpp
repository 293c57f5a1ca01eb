#include "layers/linear.h"

#include "autograd/functions.h"
#include "core/error.h"

namespace ds {
namespace {

Shape weight_shape(int64_t in, int64_t out) {
  DS_CHECK(in >= 1 && out >= 1, "[linear] {} to {} features, expected at least 1 of each", in, out);
  return {out, in};
}

FileLayout layout_of(int64_t in, const Shape& flattened) {
  if (flattened.rank() == 0) return {};
  DS_CHECK(flattened.rank() == 3 && flattened.numel() == in,
           "[linear] flattened image is {}, expected H,W,C with {} elements", flattened.str(), in);
  return {.kind = FileLayout::Kind::kFlattened, .flattened = flattened};
}

}  // namespace

Linear::Linear(int64_t in_features, int64_t out_features, const LinearOptions& options)
    : WeightedLayer(weight_shape(in_features, out_features),
                    {.layout = layout_of(in_features, options.flattened), .bias = options.bias}) {}

Variable Linear::forward(const Variable& x) {
  const Operands given = operands(x);
  return linear(given.x, given.weight, given.bias);
}

std::string Linear::describe() const {
  return fmt::format("Linear({}, {}{})", weight().shape()[1], weight().shape()[0], describe_operands());
}

}  // namespace ds
