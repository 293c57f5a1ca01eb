// The sums of depthwise convolutions.
#pragma once

#include <memory>
#include <string_view>

#include "infer/cpu/step.h"

namespace ds::infer {

/// Neighbouring pixels [begin, end) of an output's row, and channels.
struct DepthwisePart {
  int64_t image;
  int64_t y;
  int64_t begin;
  int64_t end;
  int64_t first;  // channel
  int64_t count;
};

class DepthwiseSums {
 public:
  virtual ~DepthwiseSums() = default;
  /// sums[p][c] for the part's pixels and channels, i32 or, where they are `wide`, i64. Written up to a
  /// multiple of kRescaleBlock channels.
  virtual void make(const uint8_t* arena, const DepthwisePart& part, void* sums, int64_t pitch) const = 0;
  virtual std::string_view describe() const = 0;
  virtual int64_t weight_bytes() const = 0;
};

/// Dot products of bytes where the window, the types and the instruction set allow it; else tap by tap.
std::unique_ptr<const DepthwiseSums> make_depthwise_sums(const StepSource& source, bool wide);

}  // namespace ds::infer
