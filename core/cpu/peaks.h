// What this machine reaches with the threads in use: the measure that a profile is held against.
#pragma once

#include <functional>

namespace ds::cpu {

/// The least time of a few calls.
double best_seconds(const std::function<void()>& body);

struct Peaks {
  double gflops =
      0.0;  // f32, by the micro-kernel of the convolutions on data in the L1 cache, two for a multiply-add
  double gbytes = 0.0;  // read from memory that no cache holds
};

/// The best of a few short runs; takes about a second.
Peaks measure_peaks();

}  // namespace ds::cpu
