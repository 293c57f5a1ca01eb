// Small helpers of the autograd tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "tests/support/data.h"

namespace ds::test {

inline Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

inline Variable leaf(const std::vector<float>& values) { return Variable(vector_of(values), true); }

inline Variable scalar_leaf(float value) { return Variable(Tensor::full({}, value), true); }

inline Tensor uniform(const Shape& shape, uint64_t seed, DType dtype = DType::kF32) {
  Tensor result = Tensor::empty(shape, dtype);
  Generator generator(seed);
  fill_uniform(result, -1.0, 1.0, generator);
  return result;
}

/// Largest difference relative to the largest expected value; a NaN anywhere gives a NaN.
inline double relative_error(const Tensor& found, const Tensor& expected) {
  const auto a = found.to(DType::kF64).to_vector<double>();
  const auto b = expected.to(DType::kF64).to_vector<double>();
  double difference = 0.0;
  double largest = 1e-30;
  for (size_t i = 0; i < b.size(); ++i) {
    const double error = std::abs(a.at(i) - b[i]);
    if (!(error <= difference)) difference = error;
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, std::abs(b[i]));
  }
  return difference / largest;
}

/// Whether the elements have equal bits.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<float>() == b.to_vector<float>();
}

/// The message of the Error that the call throws, or "no error".
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace ds::test
