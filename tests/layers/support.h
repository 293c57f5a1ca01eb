// Small helpers of the layer tests.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "layers/module.h"

namespace ds::test {

/// What the function throws; empty when it does not.
inline std::string error_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline Tensor numbers(const std::vector<float>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

/// 0, 1, 2, ... in a shape.
inline Tensor counting(const Shape& shape) {
  std::vector<float> values;
  for (int64_t i = 0; i < shape.numel(); ++i) values.push_back(static_cast<float>(i));
  return Tensor::from(values, shape);
}

inline std::vector<std::string> parameter_names(const Module& module) {
  std::vector<std::string> names;
  for (const NamedParameter& parameter : module.named_parameters()) names.push_back(parameter.name);
  return names;
}

inline std::vector<std::string> buffer_names(Module& module) {
  std::vector<std::string> names;
  for (const NamedBuffer& buffer : module.named_buffers()) names.push_back(buffer.name);
  return names;
}

inline int64_t parameter_count(const Module& module) {
  int64_t count = 0;
  for (const Variable& parameter : module.parameters()) count += parameter.value().numel();
  return count;
}

}  // namespace ds::test
