// How the axes of tensors are walked by broadcast operations and sums, on all devices: neighbours that go on
// in the same way are one axis.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/shape.h"

namespace ds {

/// One axis of a broadcast result: its size, and the distance of neighbours in both operands (0: constant).
struct BroadcastAxis {
  int64_t size = 1;
  int64_t stride_a = 0;
  int64_t stride_b = 0;
};

/// The axes of a broadcast result, last to first; none for a single element.
struct BroadcastAxes {
  std::array<BroadcastAxis, Shape::kMaxRank> axes{};
  int count = 0;
};
BroadcastAxes broadcast_axes(const Shape& a, const Shape& b, const Shape& y);

/// A tensor [outer, length, inner] of which the middle axis is summed.
struct Reduction {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
};

/// The sums that make x of the shape y, which is broadcast to it, last axes first: each takes the tensor that
/// the one before it left.
std::vector<Reduction> reductions(const Shape& x, const Shape& y);

}  // namespace ds
