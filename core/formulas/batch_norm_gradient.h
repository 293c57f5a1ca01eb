// What a channel's gradient through batch normalisation is made of, on all devices.
//
// With s = 1 / sqrt(variance + eps), and over the M rows D = sum g and P = sum g (x - mean) of the gradient g
// that reaches the normalisation:
//   dbeta = D, dgamma = s P, dx = gamma s g for constant statistics, and for those of the batch
//   dx = gamma s (g - D / M - (x - mean) s^2 P / M).
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace ds {

/// What a ReLU after the normalisation does to the gradient: nothing without one; else dy passes where the
/// output is above 0, which is read, or, where nothing was added to it, made again from the input: one tensor
/// less to read.
enum class ReluGate : uint8_t { kNone, kOutput, kInput };

/// dx = of_g g + of_x (x - mean) + constant.
struct BatchNormGradient {
  double of_g;
  double of_x;
  double constant;
  double dgamma;
  double dbeta;

  /// `rows` is M for the statistics of the batch, 0 for constant ones.
  DS_HOST_DEVICE static BatchNormGradient of(double gamma, double variance, double eps, double sum,
                                             double product, double rows) {
    const double s = 1.0 / std::sqrt(variance + eps);
    const double scale = gamma * s;
    return {scale, rows > 0.0 ? -scale * s * s * product / rows : 0.0, rows > 0.0 ? -scale * sum / rows : 0.0,
            s * product, sum};
  }
};

}  // namespace ds
