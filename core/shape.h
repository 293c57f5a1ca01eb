// Tensor shapes: up to six sizes, row-major, the last one contiguous (N,H,W,C).
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace ds {

class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;  // rank 0: a scalar
  /// Throws Error on more than kMaxRank sizes, a negative size, or a number of elements beyond int64.
  Shape(std::initializer_list<int64_t> sizes);
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  /// Number of elements: the product of the sizes, 1 for a scalar.
  int64_t numel() const;
  /// Size of an axis; negative axes count from the end. Throws Error when out of range.
  int64_t operator[](int axis) const { return sizes_[static_cast<size_t>(checked_axis(axis))]; }
  /// The same shape with one axis replaced.
  Shape with(int axis, int64_t size) const;
  /// The product of all sizes but the last: the number of rows of channels.
  int64_t rows() const;
  std::span<const int64_t> sizes() const { return {sizes_.data(), static_cast<size_t>(rank_)}; }
  /// "[2, 3, 4]".
  std::string str() const;

  bool operator==(const Shape&) const = default;

 private:
  int checked_axis(int axis) const;

  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// The shape of a (+) b by NumPy's rule: aligned at the last axis, sizes equal or 1.
/// Throws Error naming the operation and both shapes when they do not fit.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* operation);

}  // namespace ds
