#include "core/formulas/axes.h"

namespace ds {

BroadcastAxes broadcast_axes(const Shape& a, const Shape& b, const Shape& y) {
  BroadcastAxes result;
  int64_t stride_a = 1;
  int64_t stride_b = 1;
  for (int axis = 1; axis <= y.rank(); ++axis) {
    const int64_t size_a = axis <= a.rank() ? a[-axis] : 1;
    const int64_t size_b = axis <= b.rank() ? b[-axis] : 1;
    const BroadcastAxis next{
        .size = y[-axis], .stride_a = size_a == 1 ? 0 : stride_a, .stride_b = size_b == 1 ? 0 : stride_b};
    stride_a *= size_a;
    stride_b *= size_b;
    if (next.size == 1) continue;
    BroadcastAxis* last = result.count == 0 ? nullptr : &result.axes[static_cast<size_t>(result.count - 1)];
    if (last != nullptr && next.stride_a == last->size * last->stride_a &&
        next.stride_b == last->size * last->stride_b) {
      last->size *= next.size;
    } else {
      result.axes[static_cast<size_t>(result.count++)] = next;
    }
  }
  return result;
}

std::vector<Reduction> reductions(const Shape& x, const Shape& y) {
  std::vector<Reduction> runs;
  int64_t inner = 1;
  int64_t outer = x.numel();
  bool run_is_open = false;
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    const int64_t size = x[axis];
    if (size == 1) continue;
    outer /= size;
    const int y_axis = axis - (x.rank() - y.rank());
    const bool summed = y_axis < 0 || y[y_axis] == 1;
    if (!summed) {
      inner *= size;
    } else if (run_is_open) {
      runs.back().length *= size;
      runs.back().outer = outer;
    } else {
      runs.push_back({.outer = outer, .length = size, .inner = inner});
    }
    run_is_open = summed;
  }
  return runs;
}

}  // namespace ds
