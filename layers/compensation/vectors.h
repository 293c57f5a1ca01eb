// What the sums of a conversion are written with: vectors of f64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace ds {

inline size_t at(int64_t index) { return static_cast<size_t>(index); }

inline double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Of f32.
inline std::vector<double> doubles(const Tensor& tensor) {
  const std::span<const float> values = tensor.span<float>();
  return {values.begin(), values.end()};
}
/// To f32.
inline Tensor floats(const std::vector<double>& values, const Shape& shape) {
  return Tensor::from(values, shape).to(DType::kF32);
}

}  // namespace ds
