#include "infer/cpu/filter_input.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace ds::infer {
namespace {

/// Whether padding touches other pixels of a row than its first and last.
bool pads_inner_pixels(const Node& node, int64_t input_width) {
  const Window window = window_of(node);
  const int64_t reach = (window.kernel.width - 1) * window.dilation.width;
  const int64_t second = window.stride.width - window.padding.width;
  const int64_t last_but_one = (node.shape[1] - 2) * window.stride.width - window.padding.width + reach;
  return node.shape[1] > 2
             ? second < 0 || last_but_one >= input_width
             : node.shape[1] == 2 && (second < 0 || reach - window.padding.width >= input_width);
}

bool fits_bytes(const Node& node, const Node& input) {
  if (input.format.type == DType::kI16) return false;
  return node.filters.format.bits <= 4;
}

}  // namespace

FilterInput choose_input(const Node& node, const Node& input, const Interval& accumulator, bool shifts_only) {
  FilterInput form{.stored = input.format.type};
  const bool offset = form.stored == DType::kI8;
  // With 128 added, values reach further than the bound of the sums says.
  const int64_t largest =
      offset ? 255 * node.filters.largest_sum() : std::max(-accumulator.low, accumulator.high);
  const bool sums_fit = largest <= std::numeric_limits<int32_t>::max() / 4;
  const bool bytes_fit = !shifts_only && fits_bytes(node, input) && sums_fit;
  form.words = shifts_only ? Words::kShift : (bytes_fit ? Words::kU8 : Words::kI16);
  form.read = bytes_fit ? DType::kU8 : DType::kI16;
  form.offset = bytes_fit && offset;
  if (node.kind == NodeKind::kLinear) return form;
  const Window window = window_of(node);
  const bool pads = window.padding.height > 0 || window.padding.width > 0;
  const int64_t bytes = form.read == DType::kI16 ? 2 : 1;
  const bool splits_words = window.groups == 1 && window.kernel.width > 1 && input.shape[2] * bytes % 4 != 0;
  form.bordered = pads && (form.offset || splits_words || pads_inner_pixels(node, input.shape[1]));
  return form;
}

}  // namespace ds::infer
