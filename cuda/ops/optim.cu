#include <cmath>

#include "cuda/ops/elementwise.cuh"
#include "cuda/ops/kernels.h"

namespace ds::cuda {
namespace {

// The order of PyTorch's SGD, as on the CPU (core/cpu/optim.cpp).
template <class T>
struct SgdStep {
  T lr;
  T decay;
  T momentum;
  T intake;
  bool first_step;
  bool nesterov;
  const T* gradient;
  T* parameter;
  T* buffer;  // null without momentum

  __device__ void operator()(int64_t i) const {
    const T g = gradient[i] + decay * parameter[i];
    if (buffer == nullptr) {
      parameter[i] -= lr * g;
      return;
    }
    const T smoothed = first_step ? g : momentum * buffer[i] + intake * g;
    buffer[i] = smoothed;
    parameter[i] -= lr * (nesterov ? g + momentum * smoothed : smoothed);
  }
};

template <class T>
struct AdamStep {
  T step_size;
  T beta1;
  T beta2;
  T intake1;
  T intake2;
  T correction;
  T epsilon;
  T l2;
  T keep;
  bool adaptive;
  const T* gradient;
  T* parameter;
  T* first;
  T* second;

  __device__ void operator()(int64_t i) const {
    const T g = gradient[i] + l2 * parameter[i];
    first[i] = beta1 * first[i] + intake1 * g;
    second[i] = beta2 * second[i] + intake2 * g * g;
    const T denominator = adaptive ? sqrt(second[i]) * correction + epsilon : T{1};
    parameter[i] = keep * parameter[i] - step_size * first[i] / denominator;
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
             SgdStep<T>{.lr = static_cast<T>(options.lr),
                        .decay = static_cast<T>(options.weight_decay),
                        .momentum = static_cast<T>(options.momentum),
                        .intake = static_cast<T>(1.0 - options.dampening),
                        .first_step = options.first_step,
                        .nesterov = options.nesterov,
                        .gradient = gradient.data<T>(),
                        .parameter = parameter.data<T>(),
                        .buffer = options.momentum == 0.0 ? nullptr : momentum.data<T>()});
  });
}

void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second) {
  dispatch_float(parameter.dtype(), "adam_step", [&](auto zero) {
    using T = decltype(zero);
    for_each(parameter, parameter.numel(),
             AdamStep<T>{.step_size = static_cast<T>(options.step_size),
                         .beta1 = static_cast<T>(options.beta1),
                         .beta2 = static_cast<T>(options.beta2),
                         .intake1 = static_cast<T>(1.0 - options.beta1),
                         .intake2 = static_cast<T>(1.0 - options.beta2),
                         .correction = static_cast<T>(1.0 / options.second_correction),
                         .epsilon = static_cast<T>(options.epsilon),
                         .l2 = static_cast<T>(options.l2),
                         .keep = static_cast<T>(1.0 - options.decoupled_decay),
                         .adaptive = options.adaptive,
                         .gradient = gradient.data<T>(),
                         .parameter = parameter.data<T>(),
                         .first = first.data<T>(),
                         .second = second.data<T>()});
  });
}

void lerp(const Tensor& target, double weight, Tensor& y) {
  dispatch_float(y.dtype(), "lerp", [&](auto zero) {
    using T = decltype(zero);
    for_each(y, y.numel(), Lerp<T>{target.data<T>(), static_cast<T>(weight), y.data<T>()});
  });
}

}  // namespace ds::cuda
