#include "layers/init.h"

#include <cmath>

#include "core/error.h"
#include "core/random.h"

namespace ds {
namespace {

/// Standard deviation that keeps the variance of activations through a leaky ReLU.
double kaiming_deviation(int64_t fan, double slope) {
  return std::sqrt(2.0 / (1.0 + slope * slope) / static_cast<double>(fan));
}

void check_weight(const Shape& weight) {
  DS_CHECK(weight.rank() >= 2 && weight.numel() > 0, "[init] weight has shape {}, expected O,...,I",
           weight.str());
}

}  // namespace

int64_t fan_in(const Shape& weight) {
  check_weight(weight);
  return weight.numel() / weight[0];
}

int64_t fan_out(const Shape& weight) {
  check_weight(weight);
  return weight.numel() / weight[-1];
}

Tensor kaiming_uniform(const Shape& weight, double slope) {
  return uniform(weight, std::sqrt(3.0) * kaiming_deviation(fan_in(weight), slope));
}

Tensor kaiming_normal(const Shape& weight, double slope, Fan fan) {
  return normal(weight, kaiming_deviation(fan == Fan::kIn ? fan_in(weight) : fan_out(weight), slope));
}

Tensor uniform(const Shape& shape, double bound) {
  Tensor values = Tensor::empty(shape);
  fill_uniform(values, -bound, bound, default_generator());
  return values;
}

Tensor normal(const Shape& shape, double deviation) {
  Tensor values = Tensor::empty(shape);
  fill_normal(values, 0.0, deviation, default_generator());
  return values;
}

}  // namespace ds
