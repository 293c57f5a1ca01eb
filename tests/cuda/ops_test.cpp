// The rows of tests/support/op_cases.h on a CUDA device.
#include "core/ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "core/backend.h"
#include "tests/support/op_cases.h"
#include "tests/support/scoped.h"

namespace ds::test {
namespace {

constexpr Device kCuda{.type = DeviceType::kCuda};

class CudaOpCases : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
  const OpCase& row() const { return op_cases()[GetParam()]; }
};

TEST_P(CudaOpCases, AgreesWithPlainLoopsInF32) { check_op_case(row(), DType::kF32, kCuda, row().tolerance); }

TEST_P(CudaOpCases, AgreesWithPlainLoopsInF64) {
  check_op_case(row(), DType::kF64, kCuda, 1e-6 * row().tolerance);
}

TEST_P(CudaOpCases, GivesEqualBitsEachTime) {
  std::vector<std::vector<Tensor>> outputs;
  for (int run = 0; run < 2; ++run) {
    std::vector<Tensor> inputs = draw_inputs(row(), DType::kF32);
    for (Tensor& input : inputs) input = input.to(kCuda);
    std::vector<Tensor> results = row().run(inputs);
    for (Tensor& result : results) result = result.to(Device{});
    outputs.push_back(std::move(results));
  }
  for (size_t i = 0; i < outputs[0].size(); ++i) {
    EXPECT_EQ(std::memcmp(outputs[0][i].raw(), outputs[1][i].raw(), outputs[0][i].bytes()), 0)
        << "[" << row().op << "] " << row().variant;
  }
}

INSTANTIATE_TEST_SUITE_P(Cuda, CudaOpCases, testing::Range(size_t{0}, op_cases().size()), op_case_name);

/// A convolution of sizes that networks have: several tiles, parts of sums, suggestions of cuDNN.
TEST(CudaConvolution, AgreesWithTheCpuForLargerShapes) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  struct Case {
    Shape x;
    Shape w;
    Conv2dOptions options;
  };
  for (const Case& c : {Case{{8, 32, 32, 16}, {32, 3, 3, 16}, {.padding = 1}},
                        Case{{4, 33, 31, 3}, {70, 7, 7, 3}, {.stride = 2, .padding = 3}},
                        Case{{8, 16, 16, 96}, {24, 1, 1, 96}, {}},
                        Case{{4, 16, 16, 96}, {96, 3, 3, 1}, {.padding = 1, .groups = 96}},
                        Case{{4, 14, 14, 64}, {128, 3, 3, 32}, {.padding = 1, .groups = 2}}}) {
    for (const DType type : {DType::kF32, DType::kF64}) {
      Generator generator(3);
      Tensor x = Tensor::empty(c.x, type);
      Tensor w = Tensor::empty(c.w, type);
      fill_normal(x, 0.0, 1.0, generator);
      fill_normal(w, 0.0, 1.0, generator);
      const Tensor y = ops::conv2d(x, w, {}, c.options);
      Tensor dy = Tensor::like(y);
      fill_normal(dy, 0.0, 1.0, generator);
      const std::pair<Tensor, Tensor> pairs[] = {
          {y, ops::conv2d(x.to(kCuda), w.to(kCuda), {}, c.options)},
          {ops::conv2d_backward_data(dy, w, c.x, c.options),
           ops::conv2d_backward_data(dy.to(kCuda), w.to(kCuda), c.x, c.options)},
          {ops::conv2d_backward_weight(dy, x, c.w, c.options),
           ops::conv2d_backward_weight(dy.to(kCuda), x.to(kCuda), c.w, c.options)}};
      for (const auto& [expected, found] : pairs) {
        const double scale = std::sqrt(ops::sum_squares(expected));
        const Tensor difference = ops::arithmetic(Arithmetic::kSubtract, found.to(Device{}), expected);
        EXPECT_LE(std::sqrt(ops::sum_squares(difference)), (type == DType::kF32 ? 2e-6 : 1e-13) * scale)
            << c.x.str() << " " << c.w.str() << " " << name_of(type);
      }
    }
  }
}

/// Factors of few bits: exact in tf32 and bf16.
TEST(CudaConvolution, IsExactInOtherPrecisionsForSmallIntegersAndPowersOfTwo) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  Generator generator(5);
  const Tensor x = ops::fixed_point(
      [&] {
        Tensor values = Tensor::empty({2, 8, 8, 16});
        fill_uniform(values, -4.0, 4.0, generator);
        return values;
      }(),
      {.fraction_bits = 0, .low = -4.0, .high = 4.0});
  Tensor w = Tensor::empty({16, 3, 3, 16});
  fill_normal(w, 0.0, 0.1, generator);
  w = ops::shift_q(w, {.range = {.p_min = -2, .p_max = 0}});
  const Tensor expected = ops::conv2d(x, w, {}, {.padding = 1});
  for (const Precision precision : {Precision::kTf32, Precision::kBf16}) {
    set_precision(precision, kCuda);
    const Tensor found = ops::conv2d(x.to(kCuda), w.to(kCuda), {}, {.padding = 1}).to(Device{});
    set_precision(Precision::kF32, kCuda);
    const Tensor difference = ops::arithmetic(Arithmetic::kSubtract, found, expected);
    const double error = std::sqrt(ops::sum_squares(difference) / ops::sum_squares(expected));
    // Sums may be made of transformed factors, as Winograd does; bf16 rounds the result.
    EXPECT_LE(error, precision == Precision::kTf32 ? 5e-6 : 3e-3) << name_of(precision);
  }
}

/// More tiles of columns, and more groups, than a grid has blocks along its second and third axis.
TEST(CudaConvolution, TakesManyTilesAndGroups) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  Generator generator(4);
  Tensor image = Tensor::empty({1, 2048, 2050, 1}, DType::kF64);
  fill_normal(image, 0.0, 1.0, generator);
  const Tensor dy = Tensor::full({1, 1, 1, 2}, 2.0, DType::kF64);  // one output pixel: dw is dy x
  const Tensor dw = ops::conv2d_backward_weight(dy.to(kCuda), image.to(kCuda), {2, 2048, 2050, 1}, {});
  std::vector<double> expected;
  for (int output = 0; output < 2; ++output) {
    for (const double value : image.span<double>()) expected.push_back(2.0 * value);
  }
  EXPECT_TRUE(dw.to_vector<double>() == expected);

  constexpr int64_t kGroups = 70'000;
  Tensor x = Tensor::empty({1, 1, 1, kGroups}, DType::kF64);
  Tensor w = Tensor::empty({2 * kGroups, 1, 1, 1}, DType::kF64);
  fill_normal(x, 0.0, 1.0, generator);
  fill_normal(w, 0.0, 1.0, generator);
  const Tensor y = ops::conv2d(x.to(kCuda), w.to(kCuda), {}, {.groups = kGroups});
  expected.clear();
  for (int64_t i = 0; i < 2 * kGroups; ++i) expected.push_back(x.data<double>()[i / 2] * w.data<double>()[i]);
  EXPECT_TRUE(y.to_vector<double>() == expected);
}

/// Which share the device's handle of cuDNN, and its plans.
TEST(CudaConvolution, GivesEqualBitsToSeveralThreads) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto convolve = [](size_t thread) {
    const Tensor x = Tensor::full({static_cast<int64_t>(thread) + 1, 12, 12, 8}, 0.7, DType::kF32, kCuda);
    const Tensor w = Tensor::full({8, 3, 3, 8}, 0.3, DType::kF32, kCuda);
    return ops::conv2d(x, w, {}, {.padding = 1}).to_vector<float>();
  };
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 20; ++run) results[i] = convolve(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], convolve(i)) << i;
}

TEST(CudaBatchNorm, KeepsNanInStatistics) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  std::vector<double> values(12, 1.0);
  values[5] = std::nan("");  // of the second channel
  const ops::BatchStatistics statistics = ops::batch_norm_statistics(Tensor::from(values, {6, 2}).to(kCuda));
  const std::vector<double> variance = statistics.variance.to_vector<double>();
  EXPECT_EQ(variance[0], 0.0);
  EXPECT_TRUE(std::isnan(variance[1]));
}

}  // namespace
}  // namespace ds::test
