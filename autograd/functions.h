// Every differentiable function: formula, shapes, gradient.
//
// Shapes: N batch, H height, W width, C channels; activations N,H,W,C; convolution weights O,kh,kw,I/groups.
// g is the gradient of the output. All throw Error on shapes that do not fit, naming the function and the
// shapes.
#pragma once

#include <vector>

#include "autograd/variable.h"
#include "core/op_options.h"
#include "core/random.h"

namespace ds {

/// a + b, a - b, a b, a / b with NumPy's broadcasting. Gradients are summed over the axes that were
/// broadcast.
Variable add(const Variable& a, const Variable& b);
Variable subtract(const Variable& a, const Variable& b);
Variable multiply(const Variable& a, const Variable& b);
Variable divide(const Variable& a, const Variable& b);
inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return subtract(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return multiply(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return divide(a, b); }

struct AffineOptions {
  double scale = 1.0;
  double shift = 0.0;
};
/// scale x + shift with constants. Gradient: scale g.
Variable affine(const Variable& x, const AffineOptions& options);
inline Variable operator*(const Variable& x, double scale) { return affine(x, {.scale = scale}); }
inline Variable operator*(double scale, const Variable& x) { return affine(x, {.scale = scale}); }
inline Variable operator+(const Variable& x, double shift) { return affine(x, {.shift = shift}); }
inline Variable operator+(double shift, const Variable& x) { return affine(x, {.shift = shift}); }
inline Variable operator-(const Variable& x) { return affine(x, {.scale = -1.0}); }
inline Variable operator-(const Variable& x, double shift) { return affine(x, {.shift = -shift}); }
inline Variable operator-(double shift, const Variable& x) {
  return affine(x, {.scale = -1.0, .shift = shift});
}
/// x times 1 / divisor.
inline Variable operator/(const Variable& x, double divisor) { return affine(x, {.scale = 1.0 / divisor}); }

/// a [M,K] times b [K,N]: [M,N]. Gradients: g b^T and a^T g.
Variable matmul(const Variable& a, const Variable& b);
/// x [N,I] times weight [O,I] transposed, plus bias [O] (may be undefined): [N,O]. Gradients: g w, g^T x,
/// column sums of g.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias);
/// Cross-correlation of x [N,H,W,I] with weight [O,kh,kw,I/groups], plus bias [O] (may be undefined):
/// [N,H',W',O], H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1. Gradients: the transposed
/// convolution of g with the weight, the correlation of x with g, and the sums of g over N, H' and W'.
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const Conv2dOptions& options = {});

/// Running statistics of batch normalisation: changed by training, read by evaluation.
struct BatchNormOptions {
  bool training = false;
  double momentum =
      0.1;  // running += momentum (batch - running); the running variance takes the unbiased one
  double eps = 1e-5;
};
/// gamma (x - mean) / sqrt(variance + eps) + beta over all axes but the last. Training takes the batch's mean
/// and biased variance and updates the running ones; evaluation takes the running ones as constants. Throws
/// Error for training on a single value a channel. Gradients, with x^ the normalised x: of beta the sum of g,
/// of gamma that of g x^, of x gamma / sqrt(variance + eps) (g - mean(g) - x^ mean(g x^)), in evaluation
/// without the means.
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                    Tensor& running_variance, const BatchNormOptions& options);

/// max(batch_norm(x) + shortcut, 0) in one pass over memory; the shortcut, of x's shape, may be undefined.
/// One node on the tape; a trace lists what it is made of: batch_norm, add, relu.
Variable batch_norm_relu(const Variable& x, const Variable& gamma, const Variable& beta, Tensor& running_mean,
                         Tensor& running_variance, const Variable& shortcut, const BatchNormOptions& options);

/// Maximum of each window, [N,H,W,C] to [N,H',W',C], H' = floor((H + 2 padding - kernel) / stride) + 1, or
/// with ceil_mode rounded up; the stride is the kernel's where none is given. Padding never wins. The
/// gradient goes to the first maximum.
Variable max_pool2d(const Variable& x, const Pool2dOptions& options);
/// Mean of each window; the divisor is what lies inside the padded input (without ceil_mode the whole
/// window), or with count_include_pad = false what lies inside the input.
Variable avg_pool2d(const Variable& x, const Pool2dOptions& options);
/// Mean of windows that share the input out: [N,H,W,C] to [N,h,w,C], row i of h the mean of rows floor(i H /
/// h) to ceil((i + 1) H / h), exclusive (PyTorch's rule), and likewise for columns. Recorded as avg_pool2d
/// where all windows are equal; x itself where it has the size.
Variable adaptive_avg_pool2d(const Variable& x, Size2d size);
/// Mean over H and W: [N,H,W,C] to [N,C].
Variable global_avg_pool2d(const Variable& x);
/// Every stride-th row and column, from the first: the shortcut of option A (He et al. 2016).
Variable subsample2d(const Variable& x, Size2d stride);

/// max(x, 0). Gradient: g where x > 0.
Variable relu(const Variable& x);
/// min(max(x, 0), 6). Gradient: g where 0 < x < 6.
Variable relu6(const Variable& x);
/// x times a mask that is 0 with probability p, else 1 / (1 - p); x itself unless training.
struct DropoutOptions {
  double p = 0.5;
  bool training = false;
};
Variable dropout(const Variable& x, const DropoutOptions& options,
                 Generator& generator = default_generator());

struct CrossEntropyOptions {
  double label_smoothing = 0.0;  // targets (1 - s) [c = label] + s / classes; labels only
};
/// Mean over rows of -sum_c target_c log softmax(logits)_c. logits [N,C]; targets: labels i64 [N], or rows of
/// probabilities [N,C] (mixup), which may sum to another value than 1. Gradient: (softmax sum(target) -
/// target) g / N.
Variable cross_entropy(const Variable& logits, const Tensor& targets,
                       const CrossEntropyOptions& options = {});

Variable reshape(const Variable& x, const Shape& shape);
/// [N,...] to [N, product of the rest].
Variable flatten(const Variable& x);
/// Joined along the last axis (channels).
Variable concat(const std::vector<Variable>& parts);
struct PadChannelsOptions {
  int64_t before = 0;
  int64_t after = 0;
};
/// Channels of zeros before and after those of x.
Variable pad_channels(const Variable& x, const PadChannelsOptions& options);
/// Sum or mean of all elements: a scalar.
Variable sum(const Variable& x);
Variable mean(const Variable& x);

/// DeepShift-Q (paper, 3.2): sign(w) 2^round(log2 |w|), core/shift/pow2.h. Straight-through: the gradient is
/// g, also at the ends of the range.
Variable shift_q(const Variable& weight, const ShiftRoundingOptions& options);
/// DeepShift-PS (paper, 3.3): sign(round(S)) 2^round(P). Gradients: dP = g sign 2^round(P) ln 2, dS = g.
Variable shift_ps(const Variable& shift, const Variable& sign, const ShiftRoundingOptions& options);
/// The nearest sum of two signed powers of two, core/shift/levels.h. Straight-through: the gradient is g.
Variable two_term(const Variable& weight, const ShiftFormat& format);
/// Fixed point, clamp(round(x 2^F), low, high) 2^-F. Straight-through: the gradient is g, also where it
/// saturates.
Variable fixed_point(const Variable& x, const FixedPointOptions& options);
/// Sum of 4^P over all elements, for the weight decay of DeepShift-PS. Gradient: 2 ln 2 4^P g.
Variable sum_pow4(const Variable& x);

}  // namespace ds
