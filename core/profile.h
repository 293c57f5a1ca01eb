// Where the time goes: calls, seconds, arithmetic and memory traffic of every operation of core/ops.def.
//
// While a profile is taken, kernels() gives a table whose entries time the real ones; otherwise nothing is
// measured and nothing costs anything. An operation that a kernel calls counts as part of its caller. On a
// CUDA device each operation is waited for: what would overlap without a profile follows each other with one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"

namespace ds {

struct OpProfile {
  std::string_view name;  // of the row
  int64_t calls = 0;
  double seconds = 0.0;
  double flops =
      0.0;  // of matrix products and convolutions: two for a multiply-accumulate of the direct form
  double bytes = 0.0;  // of all tensors of the calls, each taken once
};

/// Starts anew. The first `traced_calls` calls are kept one by one, for write_profile_trace().
void start_profile(int64_t traced_calls = 0);
/// Stops measuring; what was measured stays.
void stop_profile();

/// Operations that were called, the longest first.
std::vector<OpProfile> profile();
/// A table for people: calls, time and its share, GFLOP/s or GB/s and, on the CPU, the share of what this
/// machine reaches (core/cpu/peaks.h, measured now), and which algorithm each convolution took and why.
std::string profile_report();
/// The traced calls in Chrome's trace event format (chrome://tracing, ui.perfetto.dev), written atomically.
void write_profile_trace(const std::string& path);

/// The table that measures, while a profile is taken; null otherwise.
const KernelTable* profiled_kernels();

}  // namespace ds
