// What a convolution or linear layer reads, and the form that the packed kernels need it in.
#pragma once

#include <cstdint>

#include "infer/window.h"

namespace ds::infer {

/// What a kernel takes of the values at once (PackedKernels).
enum class Words : uint8_t { kU8, kI16, kShift };

/// How the values must be brought before the kernels can read them.
struct FilterInput {
  Words words = Words::kU8;
  DType stored = DType::kU8;  // as the value is
  DType read = DType::kU8;    // u8 or i16: as the kernels take it
  bool offset = false;        // i8 read as u8, 128 added
  bool bordered = false;      // padding as a border of zeros around a copy

  bool copied() const { return read != stored || bordered; }
};

/// `accumulator` is what the weights and the input's range prove of the sums. `shifts_only`: by the kernels
/// that multiply nothing.
FilterInput choose_input(const Node& node, const Node& input, const Interval& accumulator, bool shifts_only);

}  // namespace ds::infer
