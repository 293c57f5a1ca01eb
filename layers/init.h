// Initial weights, as PyTorch's torch.nn.init. All draw from the default generator, which manual_seed fixes.
//
//   kaiming_uniform  U(-b, b),      b = sqrt(2 / (1 + a^2)) sqrt(3 / fan_in)     (He et al. 2015)
//   kaiming_normal   N(0, d^2),     d = sqrt(2 / (1 + a^2)) / sqrt(fan)
//
// fan_in is the number of weights of one output: kh kw I / groups, or I; fan_out that of one input within a
// group: kh kw O, or O. a is the slope of a leaky ReLU.
#pragma once

#include "core/tensor.h"

namespace ds {

/// PyTorch's choice for Conv2d and Linear: the bound is then 1 / sqrt(fan_in).
inline constexpr double kDefaultSlope = 2.23606797749978969641;  // sqrt(5)

enum class Fan : uint8_t { kIn, kOut };

int64_t fan_in(const Shape& weight);
int64_t fan_out(const Shape& weight);

Tensor kaiming_uniform(const Shape& weight, double slope = kDefaultSlope);
Tensor kaiming_normal(const Shape& weight, double slope = 0.0, Fan fan = Fan::kIn);
/// U(-bound, bound).
Tensor uniform(const Shape& shape, double bound);
/// N(0, deviation^2).
Tensor normal(const Shape& shape, double deviation);

}  // namespace ds
