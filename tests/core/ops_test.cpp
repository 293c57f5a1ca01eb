#include "core/ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "tests/support/op_cases.h"
#include "tests/support/scoped.h"

namespace ds::test {
namespace {

bool equal_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

class OpCases : public testing::TestWithParam<size_t> {
 protected:
  const OpCase& row() const { return op_cases()[GetParam()]; }
};

TEST_P(OpCases, AgreesWithPlainLoopsInF32) { check_op_case(row(), DType::kF32, Device{}, row().tolerance); }

TEST_P(OpCases, AgreesWithPlainLoopsInF64) {
  check_op_case(row(), DType::kF64, Device{}, 1e-6 * row().tolerance);
}

TEST_P(OpCases, GivesEqualBitsForOneAndTwoThreads) {
  std::vector<std::vector<Tensor>> outputs;
  for (const int threads : {1, 2}) {
    const ScopedThreads scope(threads);
    std::vector<Tensor> inputs = draw_inputs(row(), DType::kF32);
    outputs.push_back(row().run(inputs));
  }
  for (size_t i = 0; i < outputs[0].size(); ++i) {
    EXPECT_TRUE(equal_bits(outputs[0][i], outputs[1][i])) << "[" << row().op << "] " << row().variant;
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, OpCases, testing::Range(size_t{0}, op_cases().size()), op_case_name);

TEST(Ops, EveryOperationHasARow) {
  std::set<std::string> covered;
  for (const OpCase& row : op_cases()) covered.insert(row.op);
  for (const std::string& name : op_names()) {
    EXPECT_TRUE(covered.contains(name))
        << name << " of core/ops.def has no row in tests/support/op_cases*.cpp";
  }
}

/// The message of the Error that a call throws.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Ops, SumsSquaresOfSeveralTensors) {
  const Tensor single = Tensor::from(std::vector<float>{1.0F, 2.0F}, {2});
  const Tensor twice = Tensor::from(std::vector<double>{3.0}, {1, 1});
  EXPECT_EQ(ops::sum_squares(std::vector{single, twice, single}), 19.0);
  EXPECT_EQ(ops::sum_squares(std::vector<Tensor>{}), 0.0);
}

TEST(Ops, ErrorsNameOperationFoundAndExpected) {
  const Tensor x = Tensor::zeros({2, 8, 8, 5});
  EXPECT_EQ(error_of([&] {
              ops::conv2d(x, Tensor::zeros({4, 3, 3, 3}), {}, {.groups = 2});
            }),
            "[conv2d] input [2, 8, 8, 5] has 5 channels, weight [4, 3, 3, 3] expects 6 (groups 2)");
  EXPECT_EQ(error_of([&] {
              ops::conv2d(x, Tensor::zeros({5, 3, 3, 5}), {}, {.groups = 2});
            }),
            "[conv2d] weight [5, 3, 3, 5] has 5 outputs, expected a multiple of the groups (2)");
  EXPECT_EQ(error_of([&] {
              ops::conv2d(x, Tensor::zeros({4, 3, 3, 5}), Tensor::zeros({3}), {});
            }),
            "[conv2d] bias has shape [3], expected [4]");
  EXPECT_EQ(
      error_of([&] {
        ops::conv2d(x, Tensor::zeros({4, 9, 9, 5}), {}, {});
      }),
      "[conv2d] a kernel of 9 x 9 (dilation 1 x 1) does not fit into input [2, 8, 8, 5] with padding 0 x 0");
  EXPECT_EQ(error_of([&] {
              ops::conv2d(x, Tensor::zeros({4, 3, 3, 5}), {}, {.stride = {1, 0}});
            }),
            "[conv2d] stride 1 x 0, expected 1 to 2147483647");
  EXPECT_EQ(error_of([&] { ops::arithmetic(Arithmetic::kAdd, x, Tensor::zeros({5}, DType::kF64)); }),
            "[add] a is f32, b is f64: the types must be equal");
  EXPECT_EQ(error_of([&] { ops::arithmetic(Arithmetic::kDivide, x, Tensor::zeros({4})); }),
            "[divide] shapes [2, 8, 8, 5] and [4] cannot be broadcast");
  EXPECT_EQ(
      error_of([&] { ops::max_pool2d(x, {.kernel = 2, .stride = 2, .padding = 2}); }),
      "[max_pool2d] padding 2 x 2, expected at most half of the kernel 2 x 2: every window needs a pixel");
  EXPECT_EQ(error_of([&] {
              ops::gemm(Tensor::zeros({2, 3}), Tensor::zeros({2, 3}));
            }),
            "[gemm] a [2, 3] has 3 columns, b [2, 3] has 2 rows");
}

TEST(Ops, RejectsWhatHasNoMeaning) {
  const Tensor x = Tensor::zeros({4, 3});
  const Tensor bytes = Tensor::zeros({4, 3}, DType::kU8);
  Tensor y = Tensor::zeros({3, 4});
  EXPECT_THROW(ops::affine({}, 1.0, 0.0), Error);
  EXPECT_THROW(ops::affine(bytes, 1.0, 0.0), Error);
  EXPECT_THROW(ops::accumulate(x, 1.0, y), Error);
  EXPECT_THROW(ops::clamp(x, 1.0, 0.0), Error);
  EXPECT_THROW(ops::clamp(x, std::nan(""), 0.0), Error);
  EXPECT_THROW(ops::dropout_mask(x, 1.5, default_generator()), Error);
  EXPECT_THROW(ops::copy_channels(x, 1, 3, y, 0), Error);
  EXPECT_THROW(ops::sum_to(x, {2}), Error);
  EXPECT_THROW(ops::sum_to(Tensor::zeros({3}), {4, 3}), Error);
  EXPECT_THROW(ops::argmax(Tensor::zeros({3, 0})), Error);
  EXPECT_THROW(ops::extremes(Tensor::zeros({0})), Error);
  EXPECT_THROW(ops::batch_norm_statistics(Tensor::zeros({0, 3})), Error);
  EXPECT_THROW(ops::cross_entropy(Tensor::zeros({0, 3}), Tensor::zeros({0, 3})), Error);
  EXPECT_THROW(ops::cross_entropy(x, y), Error);
  EXPECT_THROW(ops::shift_q(x, {.range = {.p_min = 0, .p_max = -1}}), Error);
  EXPECT_THROW(ops::shift_q(x, {.rounding = Rounding::kFloor}), Error);
  EXPECT_THROW(ops::fixed_point(x, {.low = 1, .high = 0}), Error);
  EXPECT_THROW(ops::fixed_point(x, {.rounding = Rounding::kStochastic}), Error);
  const Tensor index = Tensor::full({1, 1, 1, 1}, 4, DType::kI32);
  EXPECT_THROW(ops::max_pool2d_backward(Tensor::zeros({1, 1, 1, 1}), index, {1, 2, 2, 1}), Error);
}

TEST(Ops, BatchNormNeedsAChannel) {
  const Tensor x = Tensor::zeros({4, 0});
  const Tensor none = Tensor::zeros({0});
  const ops::BatchStatistics statistics{.mean = none, .variance = none};
  const std::string expected = " input [4, 0] has no channels, expected at least one in the last axis";
  EXPECT_EQ(error_of([&] { ops::batch_norm_statistics(x); }), "[batch_norm]" + expected);
  EXPECT_EQ(error_of([&] { ops::batch_norm(x, statistics, none, none, 1e-5); }), "[batch_norm]" + expected);
  EXPECT_EQ(error_of([&] { ops::batch_norm_backward(x, x, statistics, none, 1e-5, true); }),
            "[batch_norm_backward]" + expected);
  EXPECT_EQ(error_of([&] { ops::batch_norm_relu(x, statistics, none, none, {}, 1e-5); }),
            "[batch_norm_relu]" + expected);
  EXPECT_EQ(
      error_of([&] { ops::batch_norm_relu_backward(x, x, x, statistics, none, none, 1e-5, true, false); }),
      "[batch_norm_relu_backward]" + expected);
}

TEST(Ops, OneHotNamesTheRowOfABadLabel) {
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 2, 3}, {3});
  EXPECT_EQ(error_of([&] { ops::one_hot(labels, 3, 0.0); }), "[one_hot] row 2 has label 3, expected 0 to 2");
}

TEST(Ops, FixedPointStaysWithinItsFormatInF32) {
  // 2^31 - 1 is no f32; the nearest is 2^31, which 32 bits do not hold
  const FixedPointOptions options{.fraction_bits = 16, .low = -0x1p31, .high = 0x1p31 - 1};
  const Tensor y = ops::fixed_point(Tensor::from(std::vector<float>{1e9F, -1e9F}, {2}), options);
  EXPECT_EQ(y.data<float>()[0], 32768.0F - 0x1p-9F);
  EXPECT_EQ(y.data<float>()[1], -32768.0F);
}

TEST(Ops, DropoutDrawsAFreshMaskEachTimeAndKeepsItsShare) {
  Generator generator(1);
  const Tensor like = Tensor::zeros({100000});
  const Tensor first = ops::dropout_mask(like, 0.3, generator);
  const Tensor second = ops::dropout_mask(like, 0.3, generator);
  EXPECT_FALSE(equal_bits(first, second));
  EXPECT_NEAR(ops::sum_to(first, {}).item() / 100000.0, 1.0, 0.01);
  EXPECT_EQ(ops::sum_squares(ops::dropout_mask(like, 1.0, generator)), 0.0);
}

TEST(Ops, StochasticRoundingIsUnbiasedInTheLogDomain) {
  const ShiftRoundingOptions options{
      .range = {.p_min = -15, .p_max = 0}, .rounding = Rounding::kStochastic, .random = {.seed = 4}};
  const Tensor y = ops::shift_q(Tensor::full({100000}, std::exp2(-2.3)), options);
  double sum = 0.0;
  for (const float value : y.span<float>()) sum += std::log2(static_cast<double>(value));
  EXPECT_NEAR(sum / 100000.0, -2.3, 0.01);
}

}  // namespace
}  // namespace ds::test
