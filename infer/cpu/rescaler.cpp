#include "infer/cpu/rescaler.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "infer/arithmetic.h"

namespace ds::infer {
namespace {

constexpr int64_t kInt32 = std::numeric_limits<int32_t>::max();

/// The shortcut's shift in a channel.
int shortcut_shift(const StepSource& source, size_t channel) {
  const Node& node = source.self();
  const Format& shortcut = source.net.nodes()[static_cast<size_t>(node.shortcut)].format;
  return node.rescale.shift[channel] + node.format.fraction_bits - shortcut.fraction_bits;
}

/// Whether no product, sum or term of the rescaling leaves 32 bits.
bool fits_32_bits(const StepSource& source) {
  const Node& node = source.self();
  const Interval& sums = source.bounds().accumulator;
  const int64_t largest = std::max(-sums.low, sums.high);
  if (largest > kInt32 / 2 || node.rescale.pre_shift > 30) return false;
  const int64_t shifted = (largest >> node.rescale.pre_shift) + 1;
  for (size_t c = 0; c < node.rescale.multiplier.size(); ++c) {
    const int k = node.rescale.shift[c];
    if (k > 30) return false;
    double sum = static_cast<double>(shifted) * std::abs(static_cast<double>(node.rescale.multiplier[c])) +
                 std::abs(static_cast<double>(node.rescale.addend[c])) + static_cast<double>(half(k));
    if (node.shortcut >= 0) {
      const Node& shortcut = source.net.nodes()[static_cast<size_t>(node.shortcut)];
      const int j = shortcut_shift(source, c);
      if (j > 30) return false;
      sum += static_cast<double>(std::max(-shortcut.low, shortcut.high) << j);
    }
    if (sum > static_cast<double>(kInt32)) return false;
  }
  return true;
}

}  // namespace

Rescaler::Rescaler(const StepSource& source, int64_t repeats)
    : wide_(!fits_32_bits(source)),
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
      if (node.shortcut >= 0) shortcut_shift_.push_back(shortcut_shift(source, c));
    }
  }
  // The last block is read whole.
  const size_t padded = multiplier_.size() + kRescaleBlock;
  for (std::vector<int32_t>* values : {&multiplier_, &addend_, &shift_, &shortcut_shift_}) {
    if (!values->empty()) values->resize(padded, 0);
  }
  if (wide_) wide_addend_.resize(padded, 0);
}

void Rescaler::run(const Job& job) const {
  const auto first = static_cast<size_t>(job.first);
  kernel_({.sums = job.sums,
           .sums_pitch = job.sums_pitch,
           .multiplier = multiplier_.data() + first,
           .addend = wide_ ? static_cast<const void*>(wide_addend_.data() + first) : addend_.data() + first,
           .shift = shift_.data() + first,
           .shortcut = job.shortcut,
           .shortcut_pitch = job.shortcut_pitch,
           .shortcut_shift = shortcut_shift_.empty() ? nullptr : shortcut_shift_.data() + first,
           .y = job.y,
           .y_pitch = job.y_pitch,
           .pixels = job.pixels,
           .count = job.count,
           .pre_shift = pre_shift_,
           .low = low_,
           .high = high_});
}

}  // namespace ds::infer
