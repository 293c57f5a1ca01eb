// Checked device operations on plain tensors: each checks shapes, types and devices, allocates its result and
// calls the kernel of the device. They know nothing of gradients; autograd/functions.h does.
//
// Layouts: activations N,H,W,C; convolution weights O,kh,kw,I/groups; linear weights O,I. All throw Error.
#pragma once

#include "core/op_options.h"
#include "core/random.h"
#include "core/tensor.h"

namespace ds::ops {

/// a (+) b with NumPy's broadcasting.
Tensor arithmetic(Arithmetic kind, const Tensor& a, const Tensor& b);
/// scale x + shift.
Tensor affine(const Tensor& x, double scale, double shift);
/// y += scale x, in place, equal shapes.
void accumulate(const Tensor& x, double scale, Tensor& y);
/// min(max(x, low), high); a NaN stays.
Tensor clamp(const Tensor& x, double low, double high);
void clamp_in_place(Tensor& x, double low, double high);
/// dy where low < y < high, 0 elsewhere; y is the output of clamp.
Tensor clamp_backward(const Tensor& dy, const Tensor& y, double low, double high);
/// 0 with probability p, else 1 / (1 - p).
Tensor dropout_mask(const Tensor& like, double p, Generator& generator);
/// Channels [from, from + count) of x, placed at channel `to` of y; the other channels of y stay.
void copy_channels(const Tensor& x, int64_t from, int64_t count, Tensor& y, int64_t to);
/// Sum of 4^x: a tensor with one element (paper, section 3.3: weight decay of DeepShift-PS), and its
/// gradient.
Tensor sum_pow4(const Tensor& x);
Tensor sum_pow4_backward(const Tensor& dy, const Tensor& x);

/// x summed over the axes along which `shape` would be broadcast to x's shape.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// Sum of squares, in double. Not finite when any element is not.
double sum_squares(const Tensor& x);
/// Of all elements of some tensors of one device, which is waited for once.
double sum_squares(std::span<const Tensor> tensors);
struct Extremes {
  double minimum = 0.0;
  double maximum = 0.0;
};
/// The smallest and the largest element; a NaN of either sign takes its end.
Extremes extremes(const Tensor& x);
/// Index of the largest element of each row (last axis), i64; the lowest index wins a tie. A NaN counts as
/// larger than any number, as in PyTorch: a row with NaNs gives the first of them.
Tensor argmax(const Tensor& x);

/// alpha op(a) op(b), matrices.
Tensor gemm(const Tensor& a, const Tensor& b, const GemmOptions& options = {});
/// x [N,H,W,I], w [O,kh,kw,I/groups], bias [O] or undefined: [N,H',W',O]. The gradients have the shapes
/// given.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options);
Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                            const Conv2dOptions& options);
Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape,
                              const Conv2dOptions& options);
/// Output shape of a convolution or a pooling; throws Error when the window does not fit into the padded
/// input.
Shape conv2d_shape(const Shape& x, const Shape& w, const Conv2dOptions& options);
Shape pool2d_shape(const Shape& x, const Pool2dOptions& options, const char* operation);

struct MaxPool2dResult {
  Tensor y;
  Tensor index;  // i32, offset of the maximum inside its input plane
};
/// The first maximum of each window in row-major order. Padding, at most half of the kernel, never wins; a
/// NaN does.
MaxPool2dResult max_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor max_pool2d_backward(const Tensor& dy, const Tensor& index, const Shape& x_shape);
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dOptions& options);
/// The mean of floor(i H / h) to ceil((i + 1) H / h), exclusive, for row i of h, and likewise for columns.
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d size);
Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape);

struct BatchStatistics {
  Tensor mean;      // [C]
  Tensor variance;  // [C], biased
};
/// Mean and biased variance of each channel; throws Error when there are no rows.
BatchStatistics batch_norm_statistics(const Tensor& x);
/// gamma (x - mean) / sqrt(variance + eps) + beta, over the last axis.
Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& gamma, const Tensor& beta,
                  double eps);
struct BatchNormGradients {
  Tensor dx;
  Tensor dgamma;
  Tensor dbeta;
};
/// batch_statistics: the statistics depend on x (training) or are constants (evaluation).
BatchNormGradients batch_norm_backward(const Tensor& dy, const Tensor& x, const BatchStatistics& statistics,
                                       const Tensor& gamma, double eps, bool batch_statistics);
/// max(batch norm + shortcut, 0); the shortcut may be undefined.
Tensor batch_norm_relu(const Tensor& x, const BatchStatistics& statistics, const Tensor& gamma,
                       const Tensor& beta, const Tensor& shortcut, double eps);
struct BatchNormReluGradients {
  BatchNormGradients norm;
  Tensor dshortcut;  // undefined where it was not asked for
};
/// y is the output of batch_norm_relu. Where it had no shortcut, y may be undefined: where it was above 0 is
/// then made again from x and beta. `shortcut`: whether its gradient is asked for.
BatchNormReluGradients batch_norm_relu_backward(const Tensor& dy, const Tensor& x, const Tensor& y,
                                                const BatchStatistics& statistics, const Tensor& gamma,
                                                const Tensor& beta, double eps, bool batch_statistics,
                                                bool shortcut);

/// Over the last axis.
Tensor softmax(const Tensor& x);
/// Rows (1 - smoothing) [c = label] + smoothing / classes. Throws Error naming the row of a label out of
/// range.
Tensor one_hot(const Tensor& labels, int64_t classes, double smoothing, DType dtype = DType::kF32);
struct CrossEntropyResult {
  Tensor loss;           // one element: the mean over rows of -sum_c target log softmax(logits)
  Tensor probabilities;  // softmax of the logits
};
/// Logits and targets, which are probabilities, [N,C] and of one type.
CrossEntropyResult cross_entropy(const Tensor& logits, const Tensor& targets);
/// dloss / N (p sum_c target - target), p the probabilities.
Tensor cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& targets);

/// sign(w) 2^p, p the integer nearest to log2 |w| within the range (core/shift/pow2.h).
Tensor shift_q(const Tensor& w, const ShiftRoundingOptions& options);
/// Clamps |w| into [2^p_min, 2^p_max] in place; an exact 0 becomes +2^p_min. Returns how many zeros there
/// were, one i64 on the device.
Tensor shift_q_clamp(Tensor& w, ShiftRange range);
/// sign(round(S)) 2^round(P), rounding half to even.
Tensor shift_ps(const Tensor& shift, const Tensor& sign, const ShiftRoundingOptions& options);
/// dP = dy y ln 2, y the output of shift_ps.
Tensor shift_ps_backward(const Tensor& dy, const Tensor& y);
/// The nearest sum of two signed powers of two (core/shift/levels.h). Throws Error unless the format has two
/// terms.
Tensor two_term(const Tensor& w, const ShiftFormat& format);
/// clamp(round(x 2^F), low, high) 2^-F, to nearest, half up, or down to the next integer (kFloor); bounds
/// that the element type cannot hold move inwards. A NaN stays.
Tensor fixed_point(const Tensor& x, const FixedPointOptions& options);

/// In place; formulas in autograd/optim/sgd.h, adam.h and radam.h.
void sgd_step(const Tensor& gradient, const SgdStepOptions& options, Tensor& parameter, Tensor& momentum);
void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second);
/// y += weight (target - y), in place.
void lerp(const Tensor& target, double weight, Tensor& y);

}  // namespace ds::ops
