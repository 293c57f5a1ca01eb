#include "models/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "layers/batchnorm2d.h"
#include "layers/flatten.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using ::testing::HasSubstr;

/// Images of 1x1 pixel with three channels, of which the brightest is 0, 1, 2, 0, ...; every fourth label is
/// wrong.
Dataset brightest_channels(int64_t count) {
  Dataset data{
      Tensor::zeros({count, 1, 1, 3}, DType::kU8), Tensor::empty({count}, DType::kI64), {"r", "g", "b"}};
  for (int64_t i = 0; i < count; ++i) {
    data.images.data<uint8_t>()[3 * i + i % 3] = 255;
    data.labels.data<int64_t>()[i] = i % 4 == 3 ? (i + 1) % 3 : i % 3;
  }
  return data;
}

TEST(Evaluate, RefusesTargetsOfOtherRows) {
  const Tensor logits = Tensor::zeros({4, 10});
  EXPECT_THROW(count_correct(logits, Tensor::zeros({3}, DType::kI64)), Error);
  EXPECT_THROW(count_in_top(logits, Tensor::zeros({5}, DType::kI64), 5), Error);
}

TEST(Evaluate, CountsRightAnswersAndRestoresEveryMode) {
  DataLoader loader(brightest_channels(10), {.batch = 4, .workers = 0});
  const auto norm = std::make_shared<BatchNorm2d>(3);
  const auto net = sequential(norm, std::make_shared<Flatten>());
  norm->eval();
  const Evaluation result = evaluate(*net, loader);
  EXPECT_EQ(result.correct, 8);
  EXPECT_EQ(result.total, 10);
  EXPECT_DOUBLE_EQ(result.accuracy(), 0.8);
  const double right = std::log(std::exp(1.0) + 2.0) - 1.0;  // cross-entropy of logits (1, 0, 0)
  EXPECT_NEAR(result.loss, right + 0.2, 1e-4);
  EXPECT_TRUE(net->training());
  EXPECT_FALSE(norm->training());
  EXPECT_DOUBLE_EQ(norm->named_buffers()[0].value->to_vector<float>()[0], 0.0);
  EXPECT_DOUBLE_EQ(accuracy(*net, loader), 0.8);
}

TEST(Evaluate, CountsTheLabelAmongTheLargest) {
  const float nan = std::nanf("");
  const Tensor logits = Tensor::from(std::vector<float>{1, 3, 3, 2,  // label 2 ties with 1, which comes first
                                                        5, 4, 3, 2,  // label 3 is the last
                                                        nan, 1, 2, 0,   // label 2: NaN comes before it
                                                        nan, 1, 2, 0},  // label 0: NaN itself is never right
                                     {4, 4});
  const Tensor labels = Tensor::from(std::vector<int64_t>{2, 3, 2, 0}, {4});
  const std::vector<int64_t> expected = {0, 2, 2, 3};
  for (int64_t k = 1; k <= 4; ++k)
    EXPECT_EQ(count_in_top(logits, labels, k), expected[static_cast<size_t>(k - 1)]) << k;
  EXPECT_THROW(count_in_top(logits, Tensor::from(std::vector<int64_t>{4, 0, 0, 0}, {4}), 1), Error);
}

TEST(Evaluate, RefusesSoftTargets) {
  DataLoader loader(brightest_channels(8), {.batch = 4, .workers = 0, .mixup = 0.5});
  Flatten net;
  EXPECT_THAT(test::error_of([&] { evaluate(net, loader); }), HasSubstr("f32 targets, expected labels"));
  EXPECT_TRUE(net.training());
}

}  // namespace
}  // namespace ds
