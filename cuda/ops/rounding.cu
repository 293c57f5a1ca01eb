#include <cmath>
#include <numbers>
#include <vector>

#include "core/formulas/fixed_point.h"
#include "core/random.h"
#include "core/shift/levels.h"
#include "core/shift/pow2.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

__device__ float uniform_of(const RandomSource& random, int64_t i) {
  return uniform_from_word(random_word(random.seed, random.stream, random.first + static_cast<uint64_t>(i)));
}

template <class T>
struct ShiftQ {
  const T* w;
  ShiftRoundingOptions options;
  T* y;
  __device__ void operator()(int64_t i) const {
    y[i] = options.rounding == Rounding::kStochastic
               ? pow2::round_q_stochastic(w[i], options.range, uniform_of(options.random, i))
               : pow2::round_q(w[i], options.range);
  }
};

template <class T>
struct ShiftQClamp {
  T low;
  T high;
  T* w;
  unsigned long long* zeros;
  __device__ void operator()(int64_t i) const {
    if (w[i] == T{0}) atomicAdd(zeros, 1ULL);  // seldom
    w[i] = pow2::clamp_magnitude(w[i], low, high);
  }
};

template <class T>
struct ShiftPs {
  const T* shift;
  const T* sign;
  ShiftRoundingOptions options;
  T* y;
  __device__ void operator()(int64_t i) const {
    y[i] = options.rounding == Rounding::kStochastic
               ? pow2::round_ps_stochastic(shift[i], sign[i], options.range, uniform_of(options.random, i))
               : pow2::round_ps(shift[i], sign[i], options.range);
  }
};

template <class T>
struct ShiftPsBackward {
  const T* dy;
  const T* y;
  T* dshift;
  __device__ void operator()(int64_t i) const { dshift[i] = dy[i] * y[i] * std::numbers::ln2_v<T>; }
};

/// The level nearest to each number; the middles between levels are ascending (core/shift/levels.h).
template <class T>
struct NearestLevel {
  const T* w;
  const double* levels;
  const double* middles;
  int count;  // of levels
  T* y;
  __device__ void operator()(int64_t i) const {
    const auto value = static_cast<double>(w[i]);
    const double magnitude = fabs(value);
    int low = 0;
    int high = count - 1;
    while (low < high) {  // the first level whose upper middle is not below
      const int middle = (low + high) / 2;
      if (middles[middle] < magnitude) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    y[i] = isnan(value) ? w[i] : static_cast<T>(copysign(levels[low], value));
  }
};

template <class T>
struct FixedPoint {
  const T* x;
  FixedPointRounding<T> round;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] = round(x[i]); }
};

}  // namespace

void shift_q(const Tensor& w, const ShiftRoundingOptions& options, Tensor& y) {
  dispatch_float(w.dtype(), "shift_q", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, w.numel(), ShiftQ<T>{w.data<T>(), options, y.data<T>()});
  });
}

void shift_q_clamp(ShiftRange range, Tensor& w, Tensor& zeros) {
  zeros.fill(0.0);
  dispatch_float(w.dtype(), "shift_q_clamp", [&](auto zero) {
    using T = decltype(zero);
    for_each(w, w.numel(),
             ShiftQClamp<T>{pow2::exp2<T>(range.p_min), pow2::exp2<T>(range.p_max), w.data<T>(),
                            reinterpret_cast<unsigned long long*>(zeros.data<int64_t>())});
  });
}

void shift_ps(const Tensor& shift, const Tensor& sign, const ShiftRoundingOptions& options, Tensor& y) {
  dispatch_float(shift.dtype(), "shift_ps", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, shift.numel(), ShiftPs<T>{shift.data<T>(), sign.data<T>(), options, y.data<T>()});
  });
}

void shift_ps_backward(const Tensor& dy, const Tensor& y, Tensor& dshift) {
  dispatch_float(dy.dtype(), "shift_ps_backward", [&](auto zero) {
    using T = decltype(zero);
    for_each(dshift, dy.numel(), ShiftPsBackward<T>{dy.data<T>(), y.data<T>(), dshift.data<T>()});
  });
}

void two_term(const Tensor& w, const ShiftFormat& format, Tensor& y) {
  const Levels levels(format);
  const auto count = static_cast<int64_t>(levels.magnitudes().size());
  const Tensor magnitudes = Tensor::from(levels.magnitudes(), {count}).to(w.device());
  const Tensor middles = Tensor::from(levels.middles(), {count - 1}).to(w.device());
  dispatch_float(w.dtype(), "two_term", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, w.numel(),
             NearestLevel<T>{w.data<T>(), magnitudes.data<double>(), middles.data<double>(),
                             static_cast<int>(count), y.data<T>()});
  });
}

void fixed_point(const Tensor& x, const FixedPointOptions& options, Tensor& y) {
  dispatch_float(x.dtype(), "fixed_point", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, x.numel(), FixedPoint<T>{x.data<T>(), FixedPointRounding<T>(options), y.data<T>()});
  });
}

}  // namespace ds::cuda
