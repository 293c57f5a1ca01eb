#include "cuda/ops/elementwise.cuh"

#include <numbers>

#include "core/formulas/axes.h"
#include "core/formulas/convert.h"
#include "core/op_options.h"
#include "core/random.h"
#include "cuda/ops/kernels.h"
#include "cuda/ops/reduce.cuh"

namespace ds::cuda {
namespace {

/// 4^x.
__device__ inline float pow4(float x) { return exp2f(2 * x); }
__device__ inline double pow4(double x) { return exp2(2 * x); }

template <class T>
struct Fill {
  T* y;
  T value;
  __device__ void operator()(int64_t i) const { y[i] = value; }
};

template <class From, class To>
struct Cast {
  const From* x;
  To* y;
  __device__ void operator()(int64_t i) const { y[i] = convert<To>(x[i]); }
};

template <class T>
__device__ T apply(Arithmetic kind, T a, T b) {
  switch (kind) {
    case Arithmetic::kAdd: return a + b;
    case Arithmetic::kSubtract: return a - b;
    case Arithmetic::kMultiply: return a * b;
    case Arithmetic::kDivide: return a / b;
  }
  return T{0};
}

template <class T>
struct BroadcastArithmetic {
  Arithmetic kind;
  BroadcastAxes of;
  const T* a;
  const T* b;
  T* y;

  __device__ void operator()(int64_t i) const {
    int64_t rest = i;
    int64_t of_a = 0;
    int64_t of_b = 0;
    for (int n = 0; n < of.count; ++n) {
      const BroadcastAxis& axis = of.axes[static_cast<size_t>(n)];
      const int64_t position = rest % axis.size;
      of_a += position * axis.stride_a;
      of_b += position * axis.stride_b;
      rest /= axis.size;
    }
    y[i] = apply(kind, a[of_a], b[of_b]);
  }
};

template <class T>
struct EqualArithmetic {
  Arithmetic kind;
  const T* a;
  const T* b;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] = apply(kind, a[i], b[i]); }
};

template <class T>
struct Affine {
  const T* x;
  T scale;
  T shift;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] = scale * x[i] + shift; }
};

template <class T>
struct Accumulate {
  const T* x;
  T scale;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] += scale * x[i]; }
};

template <class T>
struct Clamp {
  const T* x;
  T low;
  T high;
  T* y;
  __device__ void operator()(int64_t i) const {  // a NaN fails both comparisons and stays
    const T raised = x[i] < low ? low : x[i];
    y[i] = raised > high ? high : raised;
  }
};

template <class T>
struct ClampBackward {
  const T* dy;
  const T* y;
  T low;
  T high;
  T* dx;
  __device__ void operator()(int64_t i) const { dx[i] = y[i] > low && y[i] < high ? dy[i] : T{0}; }
};

template <class T>
struct DropoutMask {
  double p;
  T kept;
  RandomSource random;
  T* mask;
  __device__ void operator()(int64_t i) const {
    const uint32_t word = random_word(random.seed, random.stream, random.first + static_cast<uint64_t>(i));
    mask[i] = static_cast<double>(uniform_from_word(word)) < p ? T{0} : kept;
  }
};

/// Elements by their size alone.
template <class Element>
struct CopyChannels {
  const Element* x;
  int64_t x_channels;
  int64_t count;
  Element* y;
  int64_t y_channels;
  __device__ void operator()(int64_t i) const {
    y[i / count * y_channels + i % count] = x[i / count * x_channels + i % count];
  }
};

template <class T>
struct Pow4 {
  const T* x;
  __device__ double operator()(int64_t i) const { return static_cast<double>(pow4(x[i])); }
};

template <class T>
struct SumPow4Backward {
  const T* dy;
  const T* x;
  T* dx;
  __device__ void operator()(int64_t i) const { dx[i] = 2 * std::numbers::ln2_v<T> * *dy * pow4(x[i]); }
};

template <class Element>
void copy_channels_of(const Tensor& x, int64_t from, int64_t count, Tensor& y, int64_t to) {
  for_each(y, x.shape().rows() * count,
           CopyChannels<Element>{static_cast<const Element*>(x.raw()) + from, x.size(-1), count,
                                 static_cast<Element*>(y.raw()) + to, y.size(-1)});
}

}  // namespace

void fill(Tensor& y, double value) {
  dispatch_any(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), Fill<T>{y.data<T>(), convert<T>(value)});
  });
}

void cast(const Tensor& x, Tensor& y) {
  dispatch_any(x.dtype(), [&](auto from) {
    using From = decltype(from);
    dispatch_any(y.dtype(), [&](auto to) {
      using To = decltype(to);
      for_each(y, x.numel(), Cast<From, To>{x.data<From>(), y.data<To>()});
    });
  });
}

void arithmetic(Arithmetic kind, const Tensor& a, const Tensor& b, Tensor& y) {
  dispatch_float(y.dtype(), "arithmetic", [&](auto zero) {
    using T = decltype(zero);
    if (a.shape() == b.shape()) {
      for_each(y, y.numel(), EqualArithmetic<T>{kind, a.data<T>(), b.data<T>(), y.data<T>()});
    } else {
      const BroadcastAxes axes = broadcast_axes(a.shape(), b.shape(), y.shape());
      for_each(y, y.numel(), BroadcastArithmetic<T>{kind, axes, a.data<T>(), b.data<T>(), y.data<T>()});
    }
  });
}

void affine(const Tensor& x, double scale, double shift, Tensor& y) {
  dispatch_float(x.dtype(), "affine", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, x.numel(), Affine<T>{x.data<T>(), static_cast<T>(scale), static_cast<T>(shift), y.data<T>()});
  });
}

void accumulate(const Tensor& x, double scale, Tensor& y) {
  dispatch_float(x.dtype(), "accumulate", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, x.numel(), Accumulate<T>{x.data<T>(), static_cast<T>(scale), y.data<T>()});
  });
}

void clamp(const Tensor& x, double low, double high, Tensor& y) {
  dispatch_float(x.dtype(), "clamp", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, x.numel(), Clamp<T>{x.data<T>(), static_cast<T>(low), static_cast<T>(high), y.data<T>()});
  });
}

void clamp_backward(const Tensor& dy, const Tensor& y, double low, double high, Tensor& dx) {
  dispatch_float(dy.dtype(), "clamp_backward", [&](auto zero) {
    using T = decltype(zero);
    for_each(
        dx, dy.numel(),
        ClampBackward<T>{dy.data<T>(), y.data<T>(), static_cast<T>(low), static_cast<T>(high), dx.data<T>()});
  });
}

void dropout_mask(double p, const RandomSource& random, Tensor& mask) {
  dispatch_float(mask.dtype(), "dropout_mask", [&](auto zero) {
    using T = decltype(zero);
    const T kept = p < 1.0 ? static_cast<T>(1.0 / (1.0 - p)) : T{0};
    for_each(mask, mask.numel(), DropoutMask<T>{p, kept, random, mask.data<T>()});
  });
}

void copy_channels(const Tensor& x, int64_t from, int64_t count, Tensor& y, int64_t to) {
  switch (size_of(x.dtype())) {
    case 1: copy_channels_of<uint8_t>(x, from, count, y, to); return;
    case 2: copy_channels_of<uint16_t>(x, from, count, y, to); return;
    case 4: copy_channels_of<uint32_t>(x, from, count, y, to); return;
    default: copy_channels_of<uint64_t>(x, from, count, y, to); return;
  }
}

void sum_pow4(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "sum_pow4", [&](auto zero) {
    using T = decltype(zero);
    sum_terms(x, x.numel(), Pow4<T>{x.data<T>()}, y.data<T>());
  });
}

void sum_pow4_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  dispatch_float(x.dtype(), "sum_pow4_backward", [&](auto zero) {
    using T = decltype(zero);
    for_each(dx, x.numel(), SumPow4Backward<T>{dy.data<T>(), x.data<T>(), dx.data<T>()});
  });
}

}  // namespace ds::cuda
