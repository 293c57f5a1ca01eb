#include "core/cpu/kernels.h"
#include "core/formulas/optim_step.h"
#include "core/parallel.h"

namespace ds::cpu {

void sgd_step(const Tensor& gradient, const SgdStepOptions& options, Tensor& parameter, Tensor& momentum) {
  dispatch_float(parameter.dtype(), "sgd_step", [&](auto zero) {
    using T = decltype(zero);
    const SgdElement<T> element(options);
    const T* __restrict g = gradient.data<T>();
    T* __restrict p = parameter.data<T>();
    T* __restrict buffer = options.momentum == 0.0 ? nullptr : momentum.data<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [=](int64_t begin, int64_t end) {
      if (buffer == nullptr) {
        for (int64_t i = begin; i < end; ++i) element.step(g[i], p[i]);
      } else {
        for (int64_t i = begin; i < end; ++i) element.step(g[i], p[i], buffer[i]);
      }
    });
  });
}

void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second) {
  dispatch_float(parameter.dtype(), "adam_step", [&](auto zero) {
    using T = decltype(zero);
    const AdamElement<T> element(options);
    const T* __restrict g = gradient.data<T>();
    T* __restrict p = parameter.data<T>();
    T* __restrict m = first.data<T>();
    T* __restrict v = second.data<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) element.step(g[i], p[i], m[i], v[i]);
    });
  });
}

void lerp(const Tensor& target, double weight, Tensor& y) {
  dispatch_float(y.dtype(), "lerp", [&](auto zero) {
    using T = decltype(zero);
    const T share = static_cast<T>(weight);
    const T* to = target.data<T>();
    T* out = y.data<T>();
    parallel_for(y.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] += share * (to[i] - out[i]);
    });
  });
}

}  // namespace ds::cpu
