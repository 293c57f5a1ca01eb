// One row an operation of core/ops.def, or more: what goes in, how it is called, and what must come out,
// worked out by plain loops in double. From these rows the tests check every kernel of every device, in f32
// and f64, and that the number of threads changes no bit.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/ops.h"
#include "core/random.h"

namespace ds::test {

using Values = std::vector<double>;

/// An input: its shape, how `count` values are drawn, and its type where that is not the one under test.
struct OpInput {
  Shape shape;
  std::function<Values(int64_t count, Generator&)> draw;
  DType fixed_type = DType::kF32;  // kF32: the type under test
};

struct OpCase {
  std::string op;       // its name in core/ops.def
  std::string variant;  // what is special about this row
  std::vector<OpInput> inputs;
  /// Calls the operation; one that works in place returns the inputs that it changes.
  std::function<std::vector<Tensor>(std::vector<Tensor>& inputs)> run = {};
  /// The values of each output.
  std::function<std::vector<Values>(const std::vector<Values>& inputs)> expected = {};
  /// Largest error in f32, relative to the largest expected value of an output (at least 1). In f64: 1e-6 of
  /// it.
  double tolerance = 1e-5;
};

/// All rows.
const std::vector<OpCase>& op_cases();
/// Every name of core/ops.def, in order.
std::vector<std::string> op_names();
/// The inputs of a row as CPU tensors: the same numbers, exact in f32, for both types.
std::vector<Tensor> draw_inputs(const OpCase& op_case, DType dtype);
/// The elements of a tensor of any type, read one by one.
Values values_of(const Tensor& tensor);

/// Runs a row on a device and checks each element of its outputs: within tolerance * (the largest expected
/// magnitude, at least 1); NaN and infinities exactly where they are expected.
void check_op_case(const OpCase& op_case, DType dtype, Device device, double tolerance);
/// For a suite with the rows' numbers as parameters.
std::string op_case_name(const testing::TestParamInfo<size_t>& info);

/// Ways of drawing.
std::function<Values(int64_t, Generator&)> normal(double mean = 0.0, double deviation = 1.0);
std::function<Values(int64_t, Generator&)> uniform(double low, double high);
std::function<Values(int64_t, Generator&)> integers(uint32_t bound);  // 0 .. bound - 1
std::function<Values(int64_t, Generator&)> listed(Values values);     // repeated to the end
/// Rows of `classes` numbers that add up to 1.
std::function<Values(int64_t, Generator&)> distributions(int64_t classes);

/// The rows of each family.
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> reduction_cases();
std::vector<OpCase> convolution_cases();
std::vector<OpCase> pooling_cases();
std::vector<OpCase> normalisation_cases();
std::vector<OpCase> rounding_cases();
std::vector<OpCase> optimizer_cases();

}  // namespace ds::test
