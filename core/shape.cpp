#include "core/shape.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "core/error.h"

namespace ds {

Shape::Shape(std::initializer_list<int64_t> sizes)
    : Shape(std::span<const int64_t>(sizes.begin(), sizes.size())) {}

Shape::Shape(std::span<const int64_t> sizes) {
  DS_CHECK(sizes.size() <= kMaxRank, "[shape] {} axes, expected at most {}", sizes.size(), kMaxRank);
  int64_t numel = 1;
  for (const int64_t size : sizes) {
    DS_CHECK(size >= 0, "[shape] [{}] has a negative size", fmt::join(sizes, ", "));
    DS_CHECK(!__builtin_mul_overflow(numel, size, &numel),
             "[shape] [{}] has more elements than int64 can count", fmt::join(sizes, ", "));
    sizes_[static_cast<size_t>(rank_++)] = size;
  }
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (const int64_t size : sizes()) product *= size;
  return product;
}

int64_t Shape::rows() const {
  int64_t product = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis) product *= sizes_[static_cast<size_t>(axis)];
  return product;
}

Shape Shape::with(int axis, int64_t size) const {
  Shape result = *this;
  result.sizes_[static_cast<size_t>(checked_axis(axis))] = size;
  return Shape(result.sizes());
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(sizes(), ", ")); }

int Shape::checked_axis(int axis) const {
  const int positive = axis < 0 ? axis + rank_ : axis;
  DS_CHECK(positive >= 0 && positive < rank_, "[shape] axis {} of a shape {} of rank {}", axis, str(), rank_);
  return positive;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* operation) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<int64_t, Shape::kMaxRank> sizes{};
  for (int axis = -1; axis >= -rank; --axis) {
    const int64_t size_a = -axis <= a.rank() ? a[axis] : 1;
    const int64_t size_b = -axis <= b.rank() ? b[axis] : 1;
    DS_CHECK(size_a == size_b || size_a == 1 || size_b == 1, "[{}] shapes {} and {} cannot be broadcast",
             operation, a.str(), b.str());
    sizes[static_cast<size_t>(rank + axis)] = size_a == 1 ? size_b : size_a;
  }
  return Shape(std::span<const int64_t>(sizes.data(), static_cast<size_t>(rank)));
}

}  // namespace ds
