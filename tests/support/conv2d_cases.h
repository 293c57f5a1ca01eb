// Convolutions to test with: shapes, operands, results, and how far they may lie apart.
#pragma once

#include <vector>

#include "core/backend.h"
#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/random.h"

namespace ds::test {

struct Conv2dCase {
  int64_t batch = 1;
  Size2d input = 1;
  Size2d kernel = 1;
  int64_t channels = 1;
  int64_t outputs = 1;
  Conv2dOptions options;
  bool bias = false;

  Shape x() const { return {batch, input.height, input.width, channels}; }
  Shape w() const { return {outputs, kernel.height, kernel.width, channels / options.groups}; }
  Size2d output() const {
    const Conv2dOptions& o = options;
    return {window_count(input.height, kernel.height, o.stride.height, o.padding.height, o.dilation.height),
            window_count(input.width, kernel.width, o.stride.width, o.padding.width, o.dilation.width)};
  }
  Shape y() const { return {batch, output().height, output().width, outputs}; }
  std::string str() const;
};

struct Conv2dOperands {
  Tensor x;
  Tensor w;
  Tensor bias;
  Tensor dy;
};

struct Conv2dResults {
  Tensor y;
  Tensor dx;
  Tensor dw;
};

/// Standard normals, f64.
Conv2dOperands operands_of(const Conv2dCase& c, Generator& generator);

/// The kernels of an engine. Outputs start as NaN: what a kernel leaves out is seen.
Conv2dResults run(Engine engine, const Conv2dCase& c, const Conv2dOperands& o);
/// The same in f32, converted back.
Conv2dResults run_f32(Engine engine, const Conv2dCase& c, const Conv2dOperands& o);

/// Largest errors of f32 relative to the RMS: direct sums, and Winograd's transforms.
inline constexpr double kDirectTolerance = 1e-5;
inline constexpr double kWinogradTolerance = 1e-4;
/// That of the engine in use.
double f32_tolerance(const Conv2dCase& c);
cpu::Conv2dPlan plan_of(const Conv2dCase& c, cpu::Conv2dPass pass, DType dtype = DType::kF32);

/// Errors relative to sqrt(terms): elements are sums of that many products of standard normals.
void expect_close(const Conv2dCase& c, const Conv2dResults& found, const Conv2dResults& expected,
                  double tolerance);

/// Results of f32 with 1, 2 and 3 threads, for shapes of every algorithm.
void expect_equal_bits_for_any_threads(Engine engine);

/// Largest difference of two f64 tensors, relative to sqrt(terms); NaN when there is one.
double worst_error(const Tensor& found, const Tensor& expected, int64_t terms);

/// Any stride, padding, dilation and groups.
Conv2dCase random_conv2d_case(Generator& generator);
/// 3x3, stride 1, and channels on both sides of the vectors' lengths.
Conv2dCase random_winograd_case(Generator& generator);

}  // namespace ds::test
