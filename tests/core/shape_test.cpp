#include "core/shape.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace ds {
namespace {

TEST(Shape, CountsElementsAndRows) {
  const Shape shape{2, 3, 4, 5};
  EXPECT_EQ(shape.rank(), 4);
  EXPECT_EQ(shape.numel(), 120);
  EXPECT_EQ(shape.rows(), 24);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.str(), "[2, 3, 4, 5]");
}

TEST(Shape, AScalarHasOneElement) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar.str(), "[]");
}

TEST(Shape, AnEmptyAxisMakesNoElements) { EXPECT_EQ((Shape{0, 3}).numel(), 0); }

TEST(Shape, ReplacesAnAxis) {
  EXPECT_EQ((Shape{2, 3}).with(-1, 7), (Shape{2, 7}));
  EXPECT_THROW((Shape{2, 3}).with(2, 7), Error);
  EXPECT_THROW((Shape{2, 3}).with(0, -1), Error);
}

TEST(Shape, RejectsWhatIsNoShape) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
  EXPECT_THROW((Shape{2, -1}), Error);
  EXPECT_THROW((Shape{int64_t{1} << 32, int64_t{1} << 32}), Error);
  const Shape matrix{2, 3};
  EXPECT_THROW(matrix[2], Error);
  EXPECT_THROW(matrix[-3], Error);
}

TEST(Shape, BroadcastsByNumPysRule) {
  EXPECT_EQ(broadcast_shapes({2, 3}, {3}, "test"), (Shape{2, 3}));
  EXPECT_EQ(broadcast_shapes({2, 1, 4}, {3, 1}, "test"), (Shape{2, 3, 4}));
  EXPECT_EQ(broadcast_shapes({}, {5}, "test"), (Shape{5}));
  EXPECT_EQ(broadcast_shapes({0, 3}, {1, 3}, "test"), (Shape{0, 3}));
  try {
    broadcast_shapes({2, 3}, {2}, "add");
    FAIL() << "shapes that do not fit were broadcast";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[add] shapes [2, 3] and [2] cannot be broadcast");
  }
}

}  // namespace
}  // namespace ds
