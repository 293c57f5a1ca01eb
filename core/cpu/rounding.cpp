#include <cmath>
#include <numbers>
#include <vector>

#include "core/cpu/kernels.h"
#include "core/cpu/random_words.h"
#include "core/formulas/fixed_point.h"
#include "core/parallel.h"
#include "core/shift/levels.h"
#include "core/shift/pow2.h"

namespace ds::cpu {
namespace {

/// y[i] = function(x[i]), a word of the random source being added to the arguments when rounding is
/// stochastic.
template <class T, class Nearest, class Stochastic>
void round_all(const ShiftRoundingOptions& options, Tensor& y, Nearest nearest, Stochastic stochastic) {
  T* out = y.data<T>();
  parallel_for(y.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
    if (options.rounding == Rounding::kStochastic) {
      for_each_word(options.random, begin, end,
                    [&](int64_t i, uint32_t word) { out[i] = stochastic(i, uniform_from_word(word)); });
    } else {
      for (int64_t i = begin; i < end; ++i) out[i] = nearest(i);
    }
  });
}

}  // namespace

void shift_q(const Tensor& w, const ShiftRoundingOptions& options, Tensor& y) {
  dispatch_float(w.dtype(), "shift_q", [&](auto zero) {
    using T = decltype(zero);
    const T* in = w.data<T>();
    const ShiftRange range = options.range;
    round_all<T>(
        options, y, [=](int64_t i) { return pow2::round_q(in[i], range); },
        [=](int64_t i, float uniform) { return pow2::round_q_stochastic(in[i], range, uniform); });
  });
}

void shift_q_clamp(ShiftRange range, Tensor& w, Tensor& zeros) {
  dispatch_float(w.dtype(), "shift_q_clamp", [&](auto zero) {
    using T = decltype(zero);
    const T low = pow2::exp2<T>(range.p_min);
    const T high = pow2::exp2<T>(range.p_max);
    T* values = w.data<T>();
    std::vector<int64_t> counts(static_cast<size_t>(chunk_count(w.numel(), kElementwiseGrain)));
    parallel_for(w.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      int64_t count = 0;
      for (int64_t i = begin; i < end; ++i) {
        const T value = values[i];
        count += value == T{0} ? 1 : 0;
        values[i] = pow2::clamp_magnitude(value, low, high);
      }
      counts[static_cast<size_t>(begin / kElementwiseGrain)] = count;
    });
    int64_t total = 0;
    for (const int64_t count : counts) total += count;
    *zeros.data<int64_t>() = total;
  });
}

void shift_ps(const Tensor& shift, const Tensor& sign, const ShiftRoundingOptions& options, Tensor& y) {
  dispatch_float(shift.dtype(), "shift_ps", [&](auto zero) {
    using T = decltype(zero);
    const T* p = shift.data<T>();
    const T* s = sign.data<T>();
    const ShiftRange range = options.range;
    round_all<T>(
        options, y, [=](int64_t i) { return pow2::round_ps(p[i], s[i], range); },
        [=](int64_t i, float uniform) { return pow2::round_ps_stochastic(p[i], s[i], range, uniform); });
  });
}

void shift_ps_backward(const Tensor& dy, const Tensor& y, Tensor& dshift) {
  dispatch_float(dy.dtype(), "shift_ps_backward", [&](auto zero) {
    using T = decltype(zero);
    const T* gradient = dy.data<T>();
    const T* value = y.data<T>();
    T* out = dshift.data<T>();
    parallel_for(dy.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = gradient[i] * value[i] * std::numbers::ln2_v<T>;
    });
  });
}

void two_term(const Tensor& w, const ShiftFormat& format, Tensor& y) {
  const Levels levels(format);
  dispatch_float(w.dtype(), "two_term", [&](auto zero) {
    using T = decltype(zero);
    const T* in = w.data<T>();
    T* out = y.data<T>();
    parallel_for(w.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        out[i] = static_cast<T>(levels.nearest(static_cast<double>(in[i])));
    });
  });
}

void fixed_point(const Tensor& x, const FixedPointOptions& options, Tensor& y) {
  dispatch_float(x.dtype(), "fixed_point", [&](auto zero) {
    using T = decltype(zero);
    const FixedPointRounding<T> round(options);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = round(in[i]);
    });
  });
}

}  // namespace ds::cpu
