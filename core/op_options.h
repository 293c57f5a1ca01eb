// The options of device operations, filled by name: {.stride = 2, .padding = 1}.
#pragma once

#include <cstdint>
#include <limits>

#include "core/dtype.h"

namespace ds {

/// Height and width; one number stands for both.
struct Size2d {
  int64_t height = 0;
  int64_t width = 0;

  // Implicit, for {.stride = 2}.
  constexpr Size2d(int64_t both) : height(both), width(both) {}  // NOLINT(google-explicit-constructor)
  constexpr Size2d(int64_t height_, int64_t width_) : height(height_), width(width_) {}
  bool operator==(const Size2d&) const = default;
};

/// Output size of a sliding window: floor((input + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
constexpr int64_t window_count(int64_t input, int64_t kernel, int64_t stride, int64_t padding,
                               int64_t dilation = 1) {
  const int64_t room = input + 2 * padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

/// The same, rounded up, as long as the last window begins within the input or the padding before it.
constexpr int64_t window_count_up(int64_t input, int64_t kernel, int64_t stride, int64_t padding) {
  const int64_t count = window_count(input + stride - 1, kernel, stride, padding);
  return (count - 1) * stride < input + padding ? count : count - 1;
}

struct Conv2dOptions {
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  int64_t groups = 1;
};

struct Pool2dOptions {
  Size2d kernel = 1;
  Size2d stride = 0;  // 0: the kernel, windows side by side
  Size2d padding = 0;
  bool count_include_pad =
      true;  // average: divide by the whole window (PyTorch's count_include_pad), or by what is inside
  bool ceil_mode = false;  // one more window where the last would leave some of the padded input out
};

/// The same with the stride that 0 stands for: as kernels, traces and integer nets have it.
constexpr Pool2dOptions with_stride(Pool2dOptions pool) {
  if (pool.stride == Size2d(0)) pool.stride = pool.kernel;
  return pool;
}

/// Windows of a pooling over an input of this size.
constexpr Size2d window_counts(Size2d input, const Pool2dOptions& pool) {
  const auto count = [&](int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
    return pool.ceil_mode ? window_count_up(size, kernel, stride, padding)
                          : window_count(size, kernel, stride, padding);
  };
  return {count(input.height, pool.kernel.height, pool.stride.height, pool.padding.height),
          count(input.width, pool.kernel.width, pool.stride.width, pool.padding.width)};
}

enum class Arithmetic : uint8_t { kAdd, kSubtract, kMultiply, kDivide };

/// y = alpha op(a) op(b), with op a transposition or nothing.
struct GemmOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  double alpha = 1.0;
};

enum class Rounding : uint8_t {
  kNearest,     // powers of two: in the log domain; fixed point: half up
  kFloor,       // fixed point only, as in the paper
  kStochastic,  // powers of two only: to one of the two neighbours, unbiased in the log domain
};

/// Where stochastic kernels draw from: word `first + i` of a stream for element i.
struct RandomSource {
  uint64_t seed = 0;
  uint64_t stream = 0;
  uint64_t first = 0;
};

/// Shift exponents of a weight: p in [p_min, p_max] (paper, section 3).
struct ShiftRange {
  int p_min = 0;
  int p_max = 0;
  bool operator==(const ShiftRange&) const = default;
};

struct ShiftFormat;  // core/shift/codes.h

struct ShiftRoundingOptions {
  ShiftRange range = {};
  Rounding rounding = Rounding::kNearest;
  RandomSource random = {};
};

/// So that 2^F and 2^-F are floats.
inline constexpr int kMaxFractionBits = 100;

/// q = clamp(round(x * 2^fraction_bits), low, high) * 2^-fraction_bits, |fraction_bits| <= kMaxFractionBits.
struct FixedPointOptions {
  int fraction_bits = 0;
  double low = 0.0;  // the smallest and largest integer of the format
  double high = 0.0;
  Rounding rounding = Rounding::kNearest;
};

struct SgdStepOptions {
  double lr = 0.0;
  double momentum = 0.0;
  double dampening = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;
  bool first_step = false;  // the momentum buffer starts as the gradient
};

/// One step of Adam, AdamW or RAdam; the caller works out what depends on the step number alone.
struct AdamStepOptions {
  double step_size = 0.0;  // lr / (1 - beta1^t), for RAdam times its rectification
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double second_correction =
      1.0;          // sqrt(1 - beta2^t); the denominator is sqrt(v) / second_correction + epsilon
  double l2 = 0.0;  // added to the gradient as l2 * parameter
  double decoupled_decay = 0.0;  // parameter *= 1 - decoupled_decay, before the update
  bool adaptive = true;          // false: RAdam's unrectified phase, divide by 1
};

}  // namespace ds
