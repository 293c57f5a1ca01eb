#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

void check_nhwc(const char* operation, const Variable& x) {
  DS_CHECK(x.shape().rank() == 4, "[{}] input has shape {}, expected N,H,W,C", operation, x.shape().str());
}

}  // namespace

Variable max_pool2d(const Variable& x, const Pool2dOptions& options) {
  check_nhwc("max_pool2d", x);
  ops::MaxPool2dResult result = ops::max_pool2d(x.value(), options);
  return record({.kind = "max_pool2d", .inputs = {x}, .options = with_stride(options)}, std::move(result.y),
                [index = result.index, shape = x.shape()](const Tensor& dy) {
                  return Gradients{ops::max_pool2d_backward(dy, index, shape)};
                });
}

Variable avg_pool2d(const Variable& x, const Pool2dOptions& options) {
  check_nhwc("avg_pool2d", x);
  return record({.kind = "avg_pool2d", .inputs = {x}, .options = with_stride(options)},
                ops::avg_pool2d(x.value(), options), [shape = x.shape(), options](const Tensor& dy) {
                  return Gradients{ops::avg_pool2d_backward(dy, shape, options)};
                });
}

Variable adaptive_avg_pool2d(const Variable& x, Size2d size) {
  check_nhwc("adaptive_avg_pool2d", x);
  const Size2d input(x.size(1), x.size(2));
  if (size == input) return x;
  const bool positive = size.height >= 1 && size.width >= 1;  // otherwise ops::adaptive_avg_pool2d says so
  if (positive && input.height % size.height == 0 && input.width % size.width == 0) {
    const Size2d window(input.height / size.height, input.width / size.width);
    return avg_pool2d(x, {.kernel = window, .stride = window});
  }
  return record({.kind = "adaptive_avg_pool2d", .inputs = {x}, .options = size},
                ops::adaptive_avg_pool2d(x.value(), size), [shape = x.shape()](const Tensor& dy) {
                  return Gradients{ops::adaptive_avg_pool2d_backward(dy, shape)};
                });
}

Variable global_avg_pool2d(const Variable& x) {
  check_nhwc("global_avg_pool2d", x);
  const Shape shape = x.shape();
  const Pool2dOptions whole{.kernel = Size2d(shape[1], shape[2])};
  return record({.kind = "global_avg_pool2d", .inputs = {x}},
                ops::avg_pool2d(x.value(), whole).reshape({shape[0], shape[3]}),
                [shape, whole](const Tensor& dy) {
                  const Tensor window = dy.reshape({shape[0], 1, 1, shape[3]});
                  return Gradients{ops::avg_pool2d_backward(window, shape, whole)};
                });
}

Variable subsample2d(const Variable& x, Size2d stride) {
  check_nhwc("subsample2d", x);
  DS_CHECK(stride.height >= 1 && stride.width >= 1, "[subsample2d] stride {}x{}, expected at least 1",
           stride.height, stride.width);
  const Pool2dOptions single{.stride = stride};  // the mean of one element
  return record({.kind = "subsample2d", .inputs = {x}, .options = stride}, ops::avg_pool2d(x.value(), single),
                [shape = x.shape(), single](const Tensor& dy) {
                  return Gradients{ops::avg_pool2d_backward(dy, shape, single)};
                });
}

}  // namespace ds
