#include "autograd/optim/muon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/optim/sgd.h"
#include "core/ops.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::Each;
using testing::HasSubstr;

Tensor random_matrix(int64_t rows, int64_t columns, DType dtype = DType::kF64) {
  return uniform({rows, columns}, 7, dtype);
}

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.size(0);
  const int64_t columns = matrix.size(1);
  Tensor result = Tensor::empty({columns, rows}, matrix.dtype());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      result.data<double>()[j * rows + i] = matrix.data<double>()[i * columns + j];
    }
  }
  return result;
}

TEST(Orthogonalize, BringsSingularValuesToOne) {
  const std::vector<double> singular = {3.0, 1.0, 0.3, 0.05};
  Tensor matrix = Tensor::zeros({4, 6}, DType::kF64);
  for (size_t i = 0; i < 4; ++i) matrix.data<double>()[i * 6 + i] = singular[i];
  const Tensor result = orthogonalize(matrix);
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 6; ++j) {
      const double value = result.data<double>()[i * 6 + j];
      if (i == j) {
        EXPECT_GT(value, 0.65) << singular[static_cast<size_t>(i)];
        EXPECT_LT(value, 1.25) << singular[static_cast<size_t>(i)];
      } else {
        EXPECT_EQ(value, 0.0) << i << " " << j;
      }
    }
  }
}

TEST(Orthogonalize, KeepsSingularVectors) {
  // u s' v^T times (u s v^T)^T is u s' s u^T, which is symmetric
  const Tensor matrix = random_matrix(5, 9);
  const Tensor product = ops::gemm(orthogonalize(matrix), matrix, {.transpose_b = true});
  EXPECT_LE(relative_error(product, transposed(product)), 1e-12);
}

TEST(Orthogonalize, MakesRandomMatricesNearlyOrthonormal) {
  const Tensor result = orthogonalize(random_matrix(16, 144));
  const Tensor square = ops::gemm(result, result, {.transpose_b = true});
  for (int64_t i = 0; i < 16; ++i) {
    for (int64_t j = 0; j < 16; ++j) {
      EXPECT_NEAR(square.data<double>()[i * 16 + j], i == j ? 1.0 : 0.0, i == j ? 0.55 : 0.3)
          << i << " " << j;
    }
  }
}

TEST(Orthogonalize, ATallMatrixIsAWideOneTurned) {
  const Tensor wide = random_matrix(3, 8);
  EXPECT_LE(relative_error(transposed(orthogonalize(transposed(wide))), orthogonalize(wide)), 1e-12);
}

TEST(Orthogonalize, ForgetsTheScale) {
  const Tensor matrix = random_matrix(4, 4);
  EXPECT_LE(relative_error(orthogonalize(ops::affine(matrix, 1e4, 0.0)), orthogonalize(matrix)), 1e-5);
}

TEST(Orthogonalize, LeavesZerosAlone) {
  EXPECT_THAT(orthogonalize(Tensor::zeros({2, 3})).to_vector<float>(), Each(0.0F));
}

TEST(Orthogonalize, NamesAWrongShape) {
  EXPECT_THAT(error_of([] { orthogonalize(Tensor::zeros({2, 3, 4})); }), HasSubstr("shape is [2, 3, 4]"));
}

TEST(Muon, UpdatesOthersLikeSgd) {
  const Tensor start = random_matrix(3, 4, DType::kF32);
  Variable by_muon(start.clone(), true);
  Variable by_sgd(start.clone(), true);
  Muon muon({.others = {{.parameters = {by_muon}, .weight_decay = 0.1, .lr_scale = 10.0}}},
            {.lr = 0.01, .momentum = 0.8});
  Sgd sgd({{.parameters = {by_sgd}, .weight_decay = 0.1, .lr_scale = 10.0}},
          {.lr = 0.01, .momentum = 0.8, .nesterov = true});
  for (int step = 0; step < 3; ++step) {
    for (Variable parameter : {by_muon, by_sgd}) {
      parameter.zero_grad();
      parameter.accumulate_grad(start);
    }
    muon.step();
    sgd.step();
    EXPECT_TRUE(same_bits(by_muon.value(), by_sgd.value())) << step;
  }
}

TEST(Muon, TakesFiltersAsMatrices) {
  const Tensor gradient = random_matrix(4, 18, DType::kF32);
  Variable filters(Tensor::zeros({4, 3, 3, 2}), true);
  Variable matrix(Tensor::zeros({4, 18}), true);
  Muon muon({.matrices = {{.parameters = {filters, matrix}}}}, {.lr = 0.1});
  filters.accumulate_grad(gradient.reshape({4, 3, 3, 2}));
  matrix.accumulate_grad(gradient);
  muon.step();
  EXPECT_TRUE(same_bits(filters.value().reshape({4, 18}), matrix.value()));
}

/// Whatever its shape, a matrix moves by 0.2 lr an element, in the root mean square.
TEST(Muon, MovesAllMatricesAlike) {
  for (const Shape& shape : {Shape{8, 2}, Shape{4, 18}, Shape{16, 16}}) {
    const Tensor gradient = random_matrix(shape[0], shape[1], DType::kF32);
    Variable matrix(Tensor::zeros(shape), true);
    Muon muon({.matrices = {{.parameters = {matrix}}}}, {.lr = 0.1});
    matrix.accumulate_grad(gradient);
    muon.step();
    const double mean_square = ops::sum_squares(matrix.value()) / static_cast<double>(shape.numel());
    // Singular values are about 1, not 1.
    EXPECT_NEAR(std::sqrt(mean_square), 0.02, 0.005) << shape.str();
    const double scale = -0.1 * 0.2 * std::sqrt(static_cast<double>(std::max(shape[0], shape[1])));
    EXPECT_LE(relative_error(matrix.value(), ops::affine(orthogonalize(gradient), scale, 0.0)), 1e-5);
  }
}

TEST(Muon, NamesWhatIsWrong) {
  const Variable row(Tensor::zeros({3}), true);
  EXPECT_THAT(error_of([&] { Muon({.matrices = {{.parameters = {row}}}}, {}); }),
              HasSubstr("a matrix has shape [3], expected two axes or more"));
  EXPECT_THAT(error_of([&] { Muon({.others = {{.parameters = {row}}}}, {.momentum = 1.0}); }),
              HasSubstr("momentum is 1, expected 0 <= momentum < 1"));
  EXPECT_THAT(error_of([] { Muon({}, {}); }), HasSubstr("no parameters"));
}

}  // namespace
}  // namespace ds::test
