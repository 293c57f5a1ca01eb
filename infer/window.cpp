#include "infer/window.h"

#include <algorithm>

#include "core/parallel.h"

namespace ds::infer {
namespace {

std::vector<TapRange> axis_taps(int64_t outputs, int64_t inputs, int64_t kernel, int64_t stride,
                                int64_t padding, int64_t dilation) {
  std::vector<TapRange> taps;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t origin = i * stride - padding;
    const int64_t begin = std::min(kernel, origin < 0 ? chunk_count(-origin, dilation) : 0);
    const int64_t end = origin < inputs ? std::min(kernel, chunk_count(inputs - origin, dilation)) : 0;
    taps.push_back({.begin = begin, .end = std::max(begin, end)});
  }
  return taps;
}

}  // namespace

Window window_of(const Node& node) {
  if (node.kind == NodeKind::kLinear) return {};
  const Conv2dOptions& o = node.convolution;
  return {.kernel = {node.filters.shape[1], node.filters.shape[2]},
          .stride = o.stride,
          .padding = o.padding,
          .dilation = o.dilation,
          .groups = o.groups};
}

Size2d image_size(const Node& node) {
  return node.shape.rank() == 3 ? Size2d(node.shape[0], node.shape[1]) : Size2d(1);
}

std::vector<TapRange> row_taps(const Window& window, int64_t outputs, int64_t inputs) {
  return axis_taps(outputs, inputs, window.kernel.height, window.stride.height, window.padding.height,
                   window.dilation.height);
}

std::vector<TapRange> column_taps(const Window& window, int64_t outputs, int64_t inputs) {
  return axis_taps(outputs, inputs, window.kernel.width, window.stride.width, window.padding.width,
                   window.dilation.width);
}

}  // namespace ds::infer
