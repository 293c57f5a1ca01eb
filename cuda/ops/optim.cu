#include "core/formulas/optim_step.h"
#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

template <class T>
struct SgdStep {
  SgdElement<T> element;
  const T* gradient;
  T* parameter;
  T* buffer;  // null without momentum
  __device__ void operator()(int64_t i) const {
    if (buffer == nullptr) {
      element.step(gradient[i], parameter[i]);
    } else {
      element.step(gradient[i], parameter[i], buffer[i]);
    }
  }
};

template <class T>
struct AdamStep {
  AdamElement<T> element;
  const T* gradient;
  T* parameter;
  T* first;
  T* second;
  __device__ void operator()(int64_t i) const {
    element.step(gradient[i], parameter[i], first[i], second[i]);
  }
};

template <class T>
struct Lerp {
  const T* target;
  T share;
  T* y;
  __device__ void operator()(int64_t i) const { y[i] += share * (target[i] - y[i]); }
};

}  // namespace

void sgd_step(const Tensor& gradient, const SgdStepOptions& options, Tensor& parameter, Tensor& momentum) {
  dispatch_float(parameter.dtype(), "sgd_step", [&](auto zero) {
    using T = decltype(zero);
    for_each(parameter, parameter.numel(),
             SgdStep<T>{SgdElement<T>(options), gradient.data<T>(), parameter.data<T>(),
                        options.momentum == 0.0 ? nullptr : momentum.data<T>()});
  });
}

void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second) {
  dispatch_float(parameter.dtype(), "adam_step", [&](auto zero) {
    using T = decltype(zero);
    for_each(parameter, parameter.numel(),
             AdamStep<T>{AdamElement<T>(options), gradient.data<T>(), parameter.data<T>(), first.data<T>(),
                         second.data<T>()});
  });
}

void lerp(const Tensor& target, double weight, Tensor& y) {
  dispatch_float(y.dtype(), "lerp", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), Lerp<T>{target.data<T>(), static_cast<T>(weight), y.data<T>()});
  });
}

}  // namespace ds::cuda
