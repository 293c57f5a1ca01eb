#include <cmath>

#include "core/cpu/kernels.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

// g = gradient + weight_decay p;  buffer = momentum buffer + (1 - dampening) g, or g at the first step;
// p -= lr (g + momentum buffer if Nesterov, else buffer): the order of PyTorch's SGD.
template <class T>
void momentum_step(const SgdStepOptions& options, int64_t n, const T* __restrict gradient,
                   T* __restrict parameter, T* __restrict buffer) {
  const T lr = static_cast<T>(options.lr);
  const T decay = static_cast<T>(options.weight_decay);
  const T momentum = static_cast<T>(options.momentum);
  const T intake = static_cast<T>(1.0 - options.dampening);
  const bool first_step = options.first_step;
  const bool nesterov = options.nesterov;
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] + decay * parameter[i];
    const T smoothed = first_step ? g : momentum * buffer[i] + intake * g;
    buffer[i] = smoothed;
    parameter[i] -= lr * (nesterov ? g + momentum * smoothed : smoothed);
  }
}

template <class T>
void plain_step(const SgdStepOptions& options, int64_t n, const T* __restrict gradient,
                T* __restrict parameter) {
  const T lr = static_cast<T>(options.lr);
  const T decay = static_cast<T>(options.weight_decay);
  for (int64_t i = 0; i < n; ++i) parameter[i] -= lr * (gradient[i] + decay * parameter[i]);
}

template <class T>
void adam(const AdamStepOptions& options, int64_t n, const T* __restrict gradient, T* __restrict parameter,
          T* __restrict first, T* __restrict second) {
  const T step_size = static_cast<T>(options.step_size);
  const T beta1 = static_cast<T>(options.beta1);
  const T beta2 = static_cast<T>(options.beta2);
  const T intake1 = static_cast<T>(1.0 - options.beta1);
  const T intake2 = static_cast<T>(1.0 - options.beta2);
  const T correction = static_cast<T>(1.0 / options.second_correction);
  const T epsilon = static_cast<T>(options.epsilon);
  const T l2 = static_cast<T>(options.l2);
  const T keep = static_cast<T>(1.0 - options.decoupled_decay);
  const bool adaptive = options.adaptive;
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i] + l2 * parameter[i];
    first[i] = beta1 * first[i] + intake1 * g;
    second[i] = beta2 * second[i] + intake2 * g * g;
    const T denominator = adaptive ? std::sqrt(second[i]) * correction + epsilon : T{1};
    parameter[i] = keep * parameter[i] - step_size * first[i] / denominator;
  }
}

}  // namespace

void sgd_step(const Tensor& gradient, const SgdStepOptions& options, Tensor& parameter, Tensor& momentum) {
  dispatch_float(parameter.dtype(), "sgd_step", [&](auto zero) {
    using T = decltype(zero);
    const T* g = gradient.data<T>();
    T* p = parameter.data<T>();
    T* buffer = options.momentum == 0.0 ? nullptr : momentum.data<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      if (buffer == nullptr) {
        plain_step(options, end - begin, g + begin, p + begin);
      } else {
        momentum_step(options, end - begin, g + begin, p + begin, buffer + begin);
      }
    });
  });
}

void adam_step(const Tensor& gradient, const AdamStepOptions& options, Tensor& parameter, Tensor& first,
               Tensor& second) {
  dispatch_float(parameter.dtype(), "adam_step", [&](auto zero) {
    using T = decltype(zero);
    const T* g = gradient.data<T>();
    T* p = parameter.data<T>();
    T* m = first.data<T>();
    T* v = second.data<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      adam(options, end - begin, g + begin, p + begin, m + begin, v + begin);
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
