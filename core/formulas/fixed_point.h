// Rounding to fixed point, shared by all devices: q = clamp(round(x 2^F), low, high) 2^-F.
#pragma once

#include <cmath>
#include <limits>

#include "core/host_device.h"
#include "core/op_options.h"
#include "core/shift/pow2.h"

namespace ds {

template <class T>
struct FixedPointRounding {
  T scale;  // 2^F
  T unit;   // 2^-F
  T low;    // of q 2^F
  T high;
  T threshold;  // the fraction from which on is rounded up

  explicit FixedPointRounding(const FixedPointOptions& options)
      : scale(pow2::exp2<T>(options.fraction_bits)),
        unit(pow2::exp2<T>(-options.fraction_bits)),
        low(bound_within(options.low)),
        high(bound_within(options.high)),
        threshold(options.rounding == Rounding::kFloor ? std::numeric_limits<T>::infinity() : T{0.5}) {}

  /// Half up as floor(v) + [v - floor(v) >= 1/2]: both steps are exact, v + 1/2 would not be for large v. A
  /// NaN stays.
  DS_HOST_DEVICE T operator()(T x) const {
    const T value = x * scale;
    const T below = std::floor(value);
    const T rounded = below + (value - below >= threshold ? T{1} : T{0});
    const T raised = rounded < low ? low : rounded;
    return (raised > high ? high : raised) * unit;
  }

 private:
  /// The number of type T nearest to `bound` that does not lie outside it, seen from zero.
  static T bound_within(double bound) {
    const T nearest = static_cast<T>(bound);
    return std::abs(static_cast<double>(nearest)) > std::abs(bound) ? std::nextafter(nearest, T{0}) : nearest;
  }
};

}  // namespace ds
