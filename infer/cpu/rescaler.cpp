#include "infer/cpu/rescaler.h"

#include <algorithm>

#include "infer/arithmetic.h"
#include "infer/rescale_width.h"

namespace ds::infer {

Rescaler::Rescaler(const StepSource& source, int64_t repeats)
    : wide_(!rescales_in_32_bits(source.net, static_cast<size_t>(source.node))),
      pre_shift_(source.self().rescale.pre_shift),
      low_(static_cast<int32_t>(source.self().low)),
      high_(static_cast<int32_t>(source.self().high)) {
  const Node& node = source.self();
  const RowKernels& kernels = *source.kernels.rows;
  const int shortcut_type =
      node.shortcut < 0
          ? kInputTypes
          : static_cast<int>(stored_type(source.places[static_cast<size_t>(node.shortcut)].type));
  const auto result = static_cast<int>(stored_type(node.format.type));
  kernel_ = (wide_ ? kernels.rescale_wide : kernels.rescale)[shortcut_type][result];
  for (int64_t r = 0; r < repeats; ++r) {
    for (size_t c = 0; c < node.rescale.multiplier.size(); ++c) {
      const int k = node.rescale.shift[c];
      const int64_t addend = node.rescale.addend[c] + half(k);
      multiplier_.push_back(node.rescale.multiplier[c]);
      shift_.push_back(k);
      if (wide_) {
        wide_addend_.push_back(addend);
      } else {
        addend_.push_back(static_cast<int32_t>(addend));
      }
      if (node.shortcut >= 0) {
        shortcut_shift_.push_back(
            shortcut_shift(node, source.net.nodes()[static_cast<size_t>(node.shortcut)].format, c));
      }
    }
  }
  // The last block, or panel, is read whole.
  const size_t padded = multiplier_.size() + PackedKernels::kMaxPanel;
  for (std::vector<int32_t>* values : {&multiplier_, &addend_, &shift_, &shortcut_shift_}) {
    if (!values->empty()) values->resize(padded, 0);
  }
  if (wide_) wide_addend_.resize(padded, 0);
}

RescaleTile Rescaler::tile(int64_t first, int64_t count) const {
  const auto at = static_cast<size_t>(first);
  return {.multiplier = multiplier_.data() + at,
          .addend = wide_ ? static_cast<const void*>(wide_addend_.data() + at) : addend_.data() + at,
          .shift = shift_.data() + at,
          .shortcut_shift = shortcut_shift_.empty() ? nullptr : shortcut_shift_.data() + at,
          .count = count,
          .pre_shift = pre_shift_,
          .low = low_,
          .high = high_};
}

}  // namespace ds::infer
