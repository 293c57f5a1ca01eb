#include "core/tensor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/error.h"

namespace ds {
namespace {

/// 0, 1, 2, ...
Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0F);
  return Tensor::from(values, shape);
}

TEST(Tensor, HoldsItsValues) {
  const Tensor tensor = counting({2, 3});
  EXPECT_EQ(tensor.dtype(), DType::kF32);
  EXPECT_EQ(tensor.bytes(), 24U);
  EXPECT_EQ(tensor.size(-1), 3);
  EXPECT_EQ(tensor.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Tensor::full({2}, -3, DType::kI16).to_vector<int16_t>(), (std::vector<int16_t>{-3, -3}));
}

TEST(Tensor, CopiesOfTheHandleShareMemory) {
  Tensor tensor = counting({2, 3});
  const Tensor handle = tensor;
  const Tensor copy = tensor.clone();
  EXPECT_TRUE(handle.same_memory(tensor));
  EXPECT_FALSE(copy.same_memory(tensor));
  tensor.fill(9.0);
  EXPECT_EQ(handle.data<float>()[5], 9.0F);
  EXPECT_EQ(copy.data<float>()[5], 5.0F);
}

TEST(Tensor, AReshapeIsAView) {
  const Tensor tensor = counting({2, 6});
  const Tensor view = tensor.reshape({3, 4});
  EXPECT_TRUE(view.same_memory(tensor));
  EXPECT_EQ(view.shape(), (Shape{3, 4}));
  EXPECT_THROW(tensor.reshape({5}), Error);
}

TEST(Tensor, ASliceIsAViewOfRows) {
  Tensor tensor = counting({4, 3});
  const Tensor middle = tensor.slice(1, 3);
  EXPECT_EQ(middle.shape(), (Shape{2, 3}));
  EXPECT_EQ(middle.to_vector<float>(), (std::vector<float>{3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(middle.slice(1, 2).to_vector<float>(), (std::vector<float>{6, 7, 8}));
  EXPECT_EQ(tensor.slice(4, 4).numel(), 0);
  tensor.fill(1.0);
  EXPECT_EQ(middle.data<float>()[0], 1.0F);
  EXPECT_THROW(tensor.slice(2, 5), Error);
  EXPECT_THROW(tensor.slice(3, 2), Error);
  EXPECT_THROW(Tensor::zeros({}).slice(0, 1), Error);
}

TEST(Tensor, AViewDoesNotOwnItsMemoryAlone) {
  Tensor tensor = counting({4});
  EXPECT_TRUE(tensor.owns_memory());
  const Tensor view = tensor.slice(0, 2);
  EXPECT_FALSE(tensor.owns_memory());
}

TEST(Tensor, ConvertsToAnotherType) {
  const Tensor tensor = Tensor::from(std::vector<float>{-1.5F, 2.75F}, {2});
  EXPECT_EQ(tensor.to(DType::kI32).to_vector<int32_t>(), (std::vector<int32_t>{-1, 2}));
  EXPECT_TRUE(tensor.to(DType::kF32).same_memory(tensor));
}

TEST(Tensor, AnItemIsTheOnlyElement) {
  EXPECT_EQ(Tensor::full({1, 1}, 7, DType::kU8).item(), 7.0);
  EXPECT_THROW(Tensor::zeros({2}).item(), Error);
  EXPECT_THROW(Tensor().item(), Error);
}

TEST(Tensor, RefusesAccessOfTheWrongKind) {
  const Tensor tensor = counting({2});
  EXPECT_THROW(tensor.data<double>(), Error);
  EXPECT_THROW(Tensor().data<float>(), Error);
  EXPECT_THROW(Tensor().fill(0.0), Error);
  EXPECT_FALSE(Tensor().defined());
  EXPECT_FALSE(Tensor().clone().defined());
  EXPECT_THROW(Tensor::from(std::vector<float>{1, 2}, {3}), Error);
  Tensor target = Tensor::zeros({3});
  EXPECT_THROW(target.copy_from(tensor), Error);
  EXPECT_THROW(target.copy_from(Tensor::zeros({3}, DType::kF64)), Error);
}

TEST(Tensor, RefusesMoreThanAnyMemoryHolds) {
  EXPECT_THROW(Tensor::zeros({(int64_t{1} << 62) - 1}), Error);  // 2^64 - 4 bytes
  EXPECT_THROW(Tensor::zeros({int64_t{1} << 61, 4}), Error);
}

TEST(Tensor, MayHoldNothing) {
  const Tensor none = Tensor::zeros({0, 3});
  EXPECT_TRUE(none.defined());
  EXPECT_EQ(none.numel(), 0);
  EXPECT_TRUE(none.clone().to(DType::kF64).to_vector<double>().empty());
}

}  // namespace
}  // namespace ds
