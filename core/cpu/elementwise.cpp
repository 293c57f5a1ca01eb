#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/random_words.h"
#include "core/cpu/reduction.h"
#include "core/formulas/axes.h"
#include "core/formulas/convert.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

/// y[i] = function(x[i]) for n elements; x and y may be one array.
template <class In, class Out, class Function>
void map(int64_t n, const In* x, Out* y, Function function) {
  parallel_for(n, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = function(x[i]);
  });
}

/// 4^x = 2^whole e^rest: bits of the exponent, and a polynomial; what is no normal number becomes 0. The
/// library's function is a call for each element, which no compiler turns to vectors.
inline float pow4(float x) {
  constexpr float kLog2 = std::numbers::ln2_v<float>;
  constexpr float kLowest = -126.0F;
  constexpr float kHighest = 127.0F;
  const float power = 2 * x;
  const float raised = power > kLowest ? power : kLowest;
  const float whole = std::floor((raised < kHighest ? raised : kHighest) + 0.5F);
  const float rest = kLog2 * (raised - whole);
  float series = 1.0F;  // of e^rest; |rest| <= ln(2) / 2, and twice that for the largest numbers
  for (int term = 7; term > 0; --term) series = 1.0F + series * rest * (1.0F / static_cast<float>(term));
  const float value = std::bit_cast<float>((static_cast<int32_t>(whole) + 127) << 23) * series;
  const float above = power < 128.0F ? value : std::numeric_limits<float>::infinity();
  const float bounded = power < kLowest ? 0.0F : above;
  return power == power ? bounded : power;  // a NaN stays
}
inline double pow4(double x) { return std::exp2(2 * x); }

/// Two operands broadcast to y, cut into rows along which each is either contiguous or constant.
struct BroadcastPlan {
  BroadcastAxis row;
  std::vector<BroadcastAxis> outer;  // last to first
  int64_t rows = 1;

  /// Offsets of a row in both operands.
  std::pair<int64_t, int64_t> offsets(int64_t index) const {
    int64_t a = 0;
    int64_t b = 0;
    for (const BroadcastAxis& axis : outer) {
      const int64_t position = index % axis.size;
      a += position * axis.stride_a;
      b += position * axis.stride_b;
      index /= axis.size;
    }
    return {a, b};
  }
};

BroadcastPlan plan_broadcast(const Shape& a, const Shape& b, const Shape& y) {
  const BroadcastAxes axes = broadcast_axes(a, b, y);
  BroadcastPlan plan;
  if (axes.count == 0) return plan;
  plan.row = axes.axes.front();
  plan.outer.assign(axes.axes.begin() + 1, axes.axes.begin() + axes.count);
  for (const BroadcastAxis& axis : plan.outer) plan.rows *= axis.size;
  return plan;
}

/// One row; the two flags are hoisted out of the loop.
template <bool kAVaries, bool kBVaries, class T, class Function>
void broadcast_row(int64_t n, const T* a, const T* b, T* y, Function function) {
  for (int64_t i = 0; i < n; ++i) y[i] = function(a[kAVaries ? i : 0], b[kBVaries ? i : 0]);
}

template <class T, class Function>
void broadcast_row(const BroadcastAxis& row, int64_t n, const T* a, const T* b, T* y, Function function) {
  if (row.stride_a != 0 && row.stride_b != 0) {
    broadcast_row<true, true>(n, a, b, y, function);
  } else if (row.stride_a != 0) {
    broadcast_row<true, false>(n, a, b, y, function);
  } else if (row.stride_b != 0) {
    broadcast_row<false, true>(n, a, b, y, function);
  } else {
    broadcast_row<false, false>(n, a, b, y, function);
  }
}

template <class T, class Function>
void broadcast(const BroadcastPlan& plan, const T* a, const T* b, T* y, Function function) {
  const BroadcastAxis& row = plan.row;
  if (row.size >= kElementwiseGrain) {  // few long rows: cut each
    for (int64_t index = 0; index < plan.rows; ++index) {
      const std::pair<int64_t, int64_t> offset = plan.offsets(index);
      parallel_for(row.size, kElementwiseGrain, [&](int64_t begin, int64_t end) {
        broadcast_row(row, end - begin, a + offset.first + begin * row.stride_a,
                      b + offset.second + begin * row.stride_b, y + index * row.size + begin, function);
      });
    }
    return;
  }
  parallel_for(plan.rows, rows_per_chunk(row.size), [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const auto [offset_a, offset_b] = plan.offsets(index);
      broadcast_row(row, row.size, a + offset_a, b + offset_b, y + index * row.size, function);
    }
  });
}

}  // namespace

void fill(Tensor& y, double value) {
  dispatch_any(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T converted = convert<T>(value);
    T* out = y.data<T>();
    parallel_for(y.numel(), kElementwiseGrain,
                 [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, converted); });
  });
}

void cast(const Tensor& x, Tensor& y) {
  dispatch_any(x.dtype(), [&](auto from) {
    using From = decltype(from);
    dispatch_any(y.dtype(), [&](auto to) {
      using To = decltype(to);
      map(x.numel(), x.data<From>(), y.data<To>(), [](From value) { return convert<To>(value); });
    });
  });
}

void arithmetic(Arithmetic kind, const Tensor& a, const Tensor& b, Tensor& y) {
  const BroadcastPlan plan = plan_broadcast(a.shape(), b.shape(), y.shape());
  dispatch_float(y.dtype(), "arithmetic", [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&](auto function) { broadcast(plan, a.data<T>(), b.data<T>(), y.data<T>(), function); };
    switch (kind) {
      case Arithmetic::kAdd: run([](T u, T v) { return u + v; }); return;
      case Arithmetic::kSubtract: run([](T u, T v) { return u - v; }); return;
      case Arithmetic::kMultiply: run([](T u, T v) { return u * v; }); return;
      case Arithmetic::kDivide: run([](T u, T v) { return u / v; }); return;
    }
  });
}

void affine(const Tensor& x, double scale, double shift, Tensor& y) {
  dispatch_float(x.dtype(), "affine", [&](auto zero) {
    using T = decltype(zero);
    const T factor = static_cast<T>(scale);
    const T offset = static_cast<T>(shift);
    map(x.numel(), x.data<T>(), y.data<T>(), [=](T value) { return factor * value + offset; });
  });
}

void accumulate(const Tensor& x, double scale, Tensor& y) {
  dispatch_float(x.dtype(), "accumulate", [&](auto zero) {
    using T = decltype(zero);
    const T factor = static_cast<T>(scale);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] += factor * in[i];
    });
  });
}

void clamp(const Tensor& x, double low, double high, Tensor& y) {
  dispatch_float(x.dtype(), "clamp", [&](auto zero) {
    using T = decltype(zero);
    const T bottom = static_cast<T>(low);
    const T top = static_cast<T>(high);
    map(x.numel(), x.data<T>(), y.data<T>(), [=](T value) {  // a NaN fails both comparisons and stays
      const T raised = value < bottom ? bottom : value;
      return raised > top ? top : raised;
    });
  });
}

void clamp_backward(const Tensor& dy, const Tensor& y, double low, double high, Tensor& dx) {
  dispatch_float(dy.dtype(), "clamp_backward", [&](auto zero) {
    using T = decltype(zero);
    const T bottom = static_cast<T>(low);
    const T top = static_cast<T>(high);
    const T* gradient = dy.data<T>();
    const T* value = y.data<T>();
    T* out = dx.data<T>();
    parallel_for(dy.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T g = gradient[i];  // read in any case: a conditional read would keep the loop from vectorising
        out[i] = ((value[i] > bottom) & (value[i] < top)) ? g : T{0};
      }
    });
  });
}

void dropout_mask(double p, const RandomSource& random, Tensor& mask) {
  dispatch_float(mask.dtype(), "dropout_mask", [&](auto zero) {
    using T = decltype(zero);
    const T kept = p < 1.0 ? static_cast<T>(1.0 / (1.0 - p)) : T{0};
    T* out = mask.data<T>();
    parallel_for(mask.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for_each_word(random, begin, end, [&](int64_t i, uint32_t word) {
        out[i] = static_cast<double>(uniform_from_word(word)) < p ? T{0} : kept;
      });
    });
  });
}

void copy_channels(const Tensor& x, int64_t from, int64_t count, Tensor& y, int64_t to) {
  const size_t element = size_of(x.dtype());
  const size_t bytes = static_cast<size_t>(count) * element;
  const size_t row_x = static_cast<size_t>(x.size(-1)) * element;
  const size_t row_y = static_cast<size_t>(y.size(-1)) * element;
  const char* source = static_cast<const char*>(x.raw()) + static_cast<size_t>(from) * element;
  char* target = static_cast<char*>(y.raw()) + static_cast<size_t>(to) * element;
  parallel_for(x.shape().rows(), rows_per_chunk(count), [&](int64_t begin, int64_t end) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); ++row) {
      std::memcpy(target + row * row_y, source + row * row_x, bytes);
    }
  });
}

void sum_pow4(const Tensor& x, Tensor& y) {
  dispatch_float(x.dtype(), "sum_pow4", [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.data<T>();
    *y.data<T>() = static_cast<T>(chunked_sum(x.numel(), [&](int64_t begin, int64_t end) {
      return sum_of_terms(begin, end, [in](int64_t i) { return pow4(in[i]); });
    }));
  });
}

void sum_pow4_backward(const Tensor& dy, const Tensor& x, Tensor& dx) {
  dispatch_float(x.dtype(), "sum_pow4_backward", [&](auto zero) {
    using T = decltype(zero);
    const T factor = 2 * std::numbers::ln2_v<T> * *dy.data<T>();
    map(x.numel(), x.data<T>(), dx.data<T>(), [=](T value) { return factor * pow4(value); });
  });
}

}  // namespace ds::cpu
