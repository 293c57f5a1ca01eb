// One element of an optimizer's step, on all devices.
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "core/op_options.h"

namespace ds {

/// g = gradient + weight_decay p;  buffer = momentum buffer + (1 - dampening) g, or g at the first step;
/// p -= lr (g + momentum buffer if Nesterov, else buffer): the order of PyTorch's SGD.
template <class T>
struct SgdElement {
  T lr;
  T decay;
  T momentum;
  T intake;
  bool first_step;
  bool nesterov;

  explicit SgdElement(const SgdStepOptions& options)
      : lr(static_cast<T>(options.lr)),
        decay(static_cast<T>(options.weight_decay)),
        momentum(static_cast<T>(options.momentum)),
        intake(static_cast<T>(1.0 - options.dampening)),
        first_step(options.first_step),
        nesterov(options.nesterov) {}

  /// Without momentum.
  DS_HOST_DEVICE void step(T gradient, T& parameter) const {
    parameter -= lr * (gradient + decay * parameter);
  }
  DS_HOST_DEVICE void step(T gradient, T& parameter, T& buffer) const {
    const T g = gradient + decay * parameter;
    const T smoothed = first_step ? g : momentum * buffer + intake * g;
    buffer = smoothed;
    parameter -= lr * (nesterov ? g + momentum * smoothed : smoothed);
  }
};

/// Adam, AdamW and RAdam, as AdamStepOptions says.
template <class T>
struct AdamElement {
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

  explicit AdamElement(const AdamStepOptions& options)
      : step_size(static_cast<T>(options.step_size)),
        beta1(static_cast<T>(options.beta1)),
        beta2(static_cast<T>(options.beta2)),
        intake1(static_cast<T>(1.0 - options.beta1)),
        intake2(static_cast<T>(1.0 - options.beta2)),
        correction(static_cast<T>(1.0 / options.second_correction)),
        epsilon(static_cast<T>(options.epsilon)),
        l2(static_cast<T>(options.l2)),
        keep(static_cast<T>(1.0 - options.decoupled_decay)),
        adaptive(options.adaptive) {}

  DS_HOST_DEVICE void step(T gradient, T& parameter, T& first, T& second) const {
    const T g = gradient + l2 * parameter;
    first = beta1 * first + intake1 * g;
    second = beta2 * second + intake2 * g * g;
    const T denominator = adaptive ? std::sqrt(second) * correction + epsilon : T{1};
    parameter = keep * parameter - step_size * first / denominator;
  }
};

}  // namespace ds
