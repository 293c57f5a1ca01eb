#include "layers/conv2d.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "layers/describe.h"

namespace ds {
namespace {

Shape weight_shape(int64_t in, int64_t out, const Conv2dLayerOptions& options) {
  const Size2d& kernel = options.kernel;
  DS_CHECK(in >= 1 && out >= 1, "[conv2d] {} to {} channels, expected at least 1 of each", in, out);
  DS_CHECK(options.groups >= 1 && in % options.groups == 0 && out % options.groups == 0,
           "[conv2d] {} groups for {} to {} channels, expected a divisor of both", options.groups, in, out);
  DS_CHECK(kernel.height >= 1 && kernel.width >= 1, "[conv2d] kernel {}, expected at least 1", str(kernel));
  DS_CHECK(options.stride.height >= 1 && options.stride.width >= 1, "[conv2d] stride {}, expected at least 1",
           str(options.stride));
  DS_CHECK(options.dilation.height >= 1 && options.dilation.width >= 1,
           "[conv2d] dilation {}, expected at least 1", str(options.dilation));
  DS_CHECK(options.padding.height >= 0 && options.padding.width >= 0,
           "[conv2d] padding {}, expected none negative", str(options.padding));
  return {out, kernel.height, kernel.width, in / options.groups};
}

}  // namespace

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, const Conv2dLayerOptions& options)
    : WeightedLayer(weight_shape(in_channels, out_channels, options),
                    {.layout = {.kind = FileLayout::Kind::kConvolution}, .bias = options.bias}),
      in_channels_(in_channels),
      options_(options) {}

Variable Conv2d::forward(const Variable& x) {
  const Operands given = operands(x);
  return conv2d(given.x, given.weight, given.bias,
                {.stride = options_.stride,
                 .padding = options_.padding,
                 .dilation = options_.dilation,
                 .groups = options_.groups});
}

std::string Conv2d::describe() const {
  std::string text =
      fmt::format("Conv2d({}, {}, kernel {}, stride {}, padding {}", in_channels_, weight().shape()[0],
                  str(options_.kernel), str(options_.stride), str(options_.padding));
  if (options_.dilation != Size2d(1)) text += fmt::format(", dilation {}", str(options_.dilation));
  if (options_.groups != 1) text += fmt::format(", groups {}", options_.groups);
  return text + describe_operands() + ")";
}

}  // namespace ds
