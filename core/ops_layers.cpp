// The functions of core/ops.h behind layers: convolution, pooling, batch normalisation, softmax and its loss.
#include <limits>

#include "core/backend.h"
#include "core/error.h"
#include "core/op_checks.h"
#include "core/ops.h"

namespace ds::ops {
namespace {

void check_images(const char* op, const char* name, const Shape& shape) {
  DS_CHECK(shape.rank() == 4, "[{}] {} has shape {}, expected N,H,W,C", op, name, shape.str());
}

void check_at_least(const char* op, const char* name, Size2d size, int64_t least) {
  constexpr int64_t kMost = INT32_MAX;  // so that their sums and products can be counted
  DS_CHECK(least <= size.height && least <= size.width && size.height <= kMost && size.width <= kMost,
           "[{}] {} {} x {}, expected {} to {}", op, name, size.height, size.width, least, kMost);
}

void check_window(const char* op, const Shape& x, Size2d kernel, const Conv2dOptions& options) {
  check_at_least(op, "input of", {x[1], x[2]}, 1);
  check_at_least(op, "kernel", kernel, 1);
  check_at_least(op, "stride", options.stride, 1);
  check_at_least(op, "dilation", options.dilation, 1);
  check_at_least(op, "padding", options.padding, 0);
}

void check_fits(const char* op, const Shape& x, Size2d kernel, const Conv2dOptions& options, Size2d count) {
  DS_CHECK(count.height >= 1 && count.width >= 1,
           "[{}] a kernel of {} x {} (dilation {} x {}) does not fit into input {} with padding {} x {}", op,
           kernel.height, kernel.width, options.dilation.height, options.dilation.width, x.str(),
           options.padding.height, options.padding.width);
}

Shape convolution_shape(const char* op, const Shape& x, const Shape& w, const Conv2dOptions& options) {
  check_images(op, "input", x);
  DS_CHECK(w.rank() == 4, "[{}] weight has shape {}, expected O,kh,kw,I/groups", op, w.str());
  DS_CHECK(options.groups >= 1 && w[0] % options.groups == 0,
           "[{}] weight {} has {} outputs, expected a multiple of the groups ({})", op, w.str(), w[0],
           options.groups);
  DS_CHECK(x[3] == w[3] * options.groups, "[{}] input {} has {} channels, weight {} expects {} (groups {})",
           op, x.str(), x[3], w.str(), w[3] * options.groups, options.groups);
  const Size2d kernel(w[1], w[2]);
  check_window(op, x, kernel, options);
  const auto& [stride, padding, dilation, groups] = options;
  const Size2d count(window_count(x[1], kernel.height, stride.height, padding.height, dilation.height),
                     window_count(x[2], kernel.width, stride.width, padding.width, dilation.width));
  check_fits(op, x, kernel, options, count);
  return {x[0], count.height, count.width, w[0]};
}

int64_t check_channels_last(const char* op, const Tensor& x) {
  DS_CHECK(x.rank() >= 1, "[{}] input is a scalar, expected channels in the last axis", op);
  DS_CHECK(x.size(-1) >= 1, "[{}] input {} has no channels, expected at least one in the last axis", op,
           x.shape().str());
  return x.size(-1);
}

void check_rows(const char* op, const char* name, const Tensor& x) {
  DS_CHECK(x.rank() >= 1 && x.size(-1) >= 1, "[{}] {} has shape {}, expected rows of at least one class", op,
           name, x.shape().str());
}

}  // namespace

Shape conv2d_shape(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  return convolution_shape("conv2d", x, w, options);
}

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options) {
  check_operands("conv2d", {{"input", x}, {"weight", w}});
  Tensor y = Tensor::empty(conv2d_shape(x.shape(), w.shape(), options), x.dtype(), x.device());
  if (bias.defined()) {
    check_operands("conv2d", {{"input", x}, {"bias", bias}});
    check_shape("conv2d", {"bias", bias}, {w.size(0)});
  }
  kernels(x.device()).conv2d(x, w, bias, options, y);
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                            const Conv2dOptions& options) {
  constexpr const char* kOp = "conv2d_backward_data";
  check_operands(kOp, {{"gradient", dy}, {"weight", w}});
  check_shape(kOp, {"gradient", dy}, convolution_shape(kOp, x_shape, w.shape(), options));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  kernels(dy.device()).conv2d_backward_data(dy, w, options, dx);
  return dx;
}

Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape,
                              const Conv2dOptions& options) {
  constexpr const char* kOp = "conv2d_backward_weight";
  check_operands(kOp, {{"gradient", dy}, {"input", x}});
  check_shape(kOp, {"gradient", dy}, convolution_shape(kOp, x.shape(), w_shape, options));
  Tensor dw = Tensor::empty(w_shape, dy.dtype(), dy.device());
  kernels(dy.device()).conv2d_backward_weight(dy, x, options, dw);
  return dw;
}

Shape pool2d_shape(const Shape& x, const Pool2dOptions& given, const char* operation) {
  const Pool2dOptions options = with_stride(given);
  check_images(operation, "input", x);
  const Conv2dOptions window{.stride = options.stride, .padding = options.padding};
  check_window(operation, x, options.kernel, window);
  const Size2d count = window_counts({x[1], x[2]}, options);
  check_fits(operation, x, options.kernel, window, count);
  DS_CHECK(2 * options.padding.height <= options.kernel.height &&
               2 * options.padding.width <= options.kernel.width,
           "[{}] padding {} x {}, expected at most half of the kernel {} x {}: every window needs a pixel",
           operation, options.padding.height, options.padding.width, options.kernel.height,
           options.kernel.width);
  return {x[0], count.height, count.width, x[3]};
}

MaxPool2dResult max_pool2d(const Tensor& x, const Pool2dOptions& options) {
  check_operands("max_pool2d", {{"input", x}});
  const Shape shape = pool2d_shape(x.shape(), options, "max_pool2d");
  DS_CHECK(x.size(1) <= std::numeric_limits<int32_t>::max() / x.size(2),
           "[max_pool2d] input {} has planes too large for 32-bit positions", x.shape().str());
  MaxPool2dResult result{.y = Tensor::empty(shape, x.dtype(), x.device()),
                         .index = Tensor::empty(shape, DType::kI32, x.device())};
  kernels(x.device()).max_pool2d(x, with_stride(options), result.y, result.index);
  return result;
}

Tensor max_pool2d_backward(const Tensor& dy, const Tensor& index, const Shape& x_shape) {
  constexpr const char* kOp = "max_pool2d_backward";
  check_operands(kOp, {{"gradient", dy}});
  check_images(kOp, "gradient", dy.shape());
  check_images(kOp, "input", x_shape);
  DS_CHECK(index.dtype() == DType::kI32, "[{}] index is {}, expected i32", kOp, name_of(index.dtype()));
  check_shape(kOp, {"index", index}, dy.shape());
  DS_CHECK(x_shape[0] == dy.size(0) && x_shape[3] == dy.size(3),
           "[{}] gradient {} and input {}: images and channels must be equal in number", kOp,
           dy.shape().str(), x_shape.str());
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  kernels(dy.device()).max_pool2d_backward(dy, index, dx);
  return dx;
}

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options) {
  check_operands("avg_pool2d", {{"input", x}});
  Tensor y = Tensor::empty(pool2d_shape(x.shape(), options, "avg_pool2d"), x.dtype(), x.device());
  kernels(x.device()).avg_pool2d(x, with_stride(options), y);
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dOptions& options) {
  constexpr const char* kOp = "avg_pool2d_backward";
  check_operands(kOp, {{"gradient", dy}});
  check_shape(kOp, {"gradient", dy}, pool2d_shape(x_shape, options, kOp));
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  kernels(dy.device()).avg_pool2d_backward(dy, with_stride(options), dx);
  return dx;
}

Tensor adaptive_avg_pool2d(const Tensor& x, Size2d size) {
  constexpr const char* kOp = "adaptive_avg_pool2d";
  check_operands(kOp, {{"input", x}});
  check_images(kOp, "input", x.shape());
  check_at_least(kOp, "input of", {x.size(1), x.size(2)}, 1);
  check_at_least(kOp, "output of", size, 1);
  Tensor y = Tensor::empty({x.size(0), size.height, size.width, x.size(3)}, x.dtype(), x.device());
  kernels(x.device()).adaptive_avg_pool2d(x, y);
  return y;
}

Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape) {
  constexpr const char* kOp = "adaptive_avg_pool2d_backward";
  check_operands(kOp, {{"gradient", dy}});
  check_images(kOp, "gradient", dy.shape());
  check_images(kOp, "input", x_shape);
  check_at_least(kOp, "input of", {x_shape[1], x_shape[2]}, 1);
  check_shape(kOp, {"gradient", dy}, {x_shape[0], dy.size(1), dy.size(2), x_shape[3]});
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device());
  kernels(dy.device()).adaptive_avg_pool2d_backward(dy, dx);
  return dx;
}

BatchStatistics batch_norm_statistics(const Tensor& x) {
  check_operands("batch_norm", {{"input", x}});
  const int64_t channels = check_channels_last("batch_norm", x);
  DS_CHECK(x.shape().rows() >= 1, "[batch_norm] input {} has no rows to take statistics of", x.shape().str());
  BatchStatistics statistics{.mean = Tensor::empty({channels}, x.dtype(), x.device()),
                             .variance = Tensor::empty({channels}, x.dtype(), x.device())};
  kernels(x.device()).batch_norm_statistics(x, statistics.mean, statistics.variance);
  return statistics;
}

namespace {

void check_normalised(const char* op, const Tensor& x, const BatchStatistics& statistics,
                      const Tensor& gamma) {
  const auto& [mean, variance] = statistics;
  check_operands(op, {{"input", x}, {"mean", mean}, {"variance", variance}, {"gamma", gamma}});
  const Shape channels{check_channels_last(op, x)};
  check_shape(op, {"mean", mean}, channels);
  check_shape(op, {"variance", variance}, channels);
  check_shape(op, {"gamma", gamma}, channels);
}

/// One of those that belong to the input, channel by channel or element by element.
void check_beside(const char* op, const Operand& operand, const Tensor& x, const Shape& shape) {
  check_operands(op, {{"input", x}, operand});
  check_shape(op, operand, shape);
}

BatchNormGradients empty_gradients(const Tensor& x, const Tensor& gamma) {
  return {.dx = Tensor::like(x), .dgamma = Tensor::like(gamma), .dbeta = Tensor::like(gamma)};
}

}  // namespace

Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& gamma, const Tensor& beta,
                  double eps) {
  check_normalised("batch_norm", x, statistics, gamma);
  check_beside("batch_norm", {"beta", beta}, x, gamma.shape());
  Tensor y = Tensor::like(x);
  kernels(x.device()).batch_norm(x, statistics.mean, statistics.variance, gamma, beta, eps, y);
  return y;
}

BatchNormGradients batch_norm_backward(const Tensor& dy, const Tensor& x, const BatchStatistics& statistics,
                                       const Tensor& gamma, double eps, bool batch_statistics) {
  check_normalised("batch_norm_backward", x, statistics, gamma);
  check_beside("batch_norm_backward", {"gradient", dy}, x, x.shape());
  BatchNormGradients gradients = empty_gradients(x, gamma);
  kernels(x.device())
      .batch_norm_backward(dy, x, statistics.mean, statistics.variance, gamma, eps, batch_statistics,
                           gradients.dx, gradients.dgamma, gradients.dbeta);
  return gradients;
}

Tensor batch_norm_relu(const Tensor& x, const BatchStatistics& statistics, const Tensor& gamma,
                       const Tensor& beta, const Tensor& shortcut, double eps) {
  constexpr const char* kOp = "batch_norm_relu";
  check_normalised(kOp, x, statistics, gamma);
  check_beside(kOp, {"beta", beta}, x, gamma.shape());
  if (shortcut.defined()) check_beside(kOp, {"shortcut", shortcut}, x, x.shape());
  Tensor y = Tensor::like(x);
  kernels(x.device()).batch_norm_relu(x, statistics.mean, statistics.variance, gamma, beta, shortcut, eps, y);
  return y;
}

BatchNormReluGradients batch_norm_relu_backward(const Tensor& dy, const Tensor& x, const Tensor& y,
                                                const BatchStatistics& statistics, const Tensor& gamma,
                                                const Tensor& beta, double eps, bool batch_statistics,
                                                bool shortcut) {
  constexpr const char* kOp = "batch_norm_relu_backward";
  check_normalised(kOp, x, statistics, gamma);
  check_beside(kOp, {"gradient", dy}, x, x.shape());
  check_beside(kOp, {"beta", beta}, x, gamma.shape());
  if (y.defined()) check_beside(kOp, {"output", y}, x, x.shape());
  DS_CHECK(y.defined() || !shortcut, "[{}] needs the output where there was a shortcut", kOp);
  BatchNormReluGradients gradients{.norm = empty_gradients(x, gamma),
                                   .dshortcut = shortcut ? Tensor::like(x) : Tensor()};
  kernels(x.device())
      .batch_norm_relu_backward(dy, x, y, statistics.mean, statistics.variance, gamma, beta, eps,
                                batch_statistics, gradients.norm.dx, gradients.dshortcut,
                                gradients.norm.dgamma, gradients.norm.dbeta);
  return gradients;
}

Tensor softmax(const Tensor& x) {
  check_operands("softmax", {{"input", x}});
  check_rows("softmax", "input", x);
  Tensor y = Tensor::like(x);
  kernels(x.device()).softmax(x, y);
  return y;
}

Tensor one_hot(const Tensor& labels, int64_t classes, double smoothing, DType dtype) {
  DS_CHECK(labels.defined() && labels.dtype() == DType::kI64 && labels.rank() == 1,
           "[one_hot] labels are {} {}, expected i64 [N]", name_of(labels.dtype()), labels.shape().str());
  DS_CHECK(classes >= 1, "[one_hot] {} classes, expected at least 1", classes);
  DS_CHECK(smoothing >= 0.0 && smoothing <= 1.0, "[one_hot] smoothing {}, expected 0 to 1", smoothing);
  Tensor y = Tensor::empty({labels.size(0), classes}, dtype, labels.device());
  kernels(labels.device()).one_hot(labels, smoothing, y);
  return y;
}

CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets) {
  check_alike("cross_entropy", {{"logits", logits}, {"targets", targets}});
  DS_CHECK(logits.rank() == 2 && logits.numel() >= 1,
           "[cross_entropy] logits {}, expected N,C with at least one row", logits.shape().str());
  CrossEntropyResult result{.loss = Tensor::empty({}, logits.dtype(), logits.device()),
                            .probabilities = Tensor::like(logits)};
  kernels(logits.device()).cross_entropy(logits, targets, result.loss, result.probabilities);
  return result;
}

Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& targets) {
  check_alike("cross_entropy_backward", {{"probabilities", probabilities}, {"targets", targets}});
  check_operands("cross_entropy_backward", {{"probabilities", probabilities}, {"gradient", dloss}});
  check_one_element("cross_entropy_backward", "gradient", dloss);
  Tensor dx = Tensor::like(probabilities);
  kernels(dx.device()).cross_entropy_backward(dloss, probabilities, targets, dx);
  return dx;
}

}  // namespace ds::ops
