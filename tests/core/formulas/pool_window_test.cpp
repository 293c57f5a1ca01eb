#include "core/formulas/pool_window.h"

#include <gtest/gtest.h>

namespace ds {
namespace {

/// Output o is among the outputs of pixel p exactly where p lies in the window of o.
template <class Axis>
void expect_inverse(const Axis& axis) {
  for (int64_t pixel = 0; pixel < axis.input; ++pixel) {
    const PoolRange outputs = axis.outputs_of(pixel);
    for (int64_t output = 0; output < axis.output; ++output) {
      const PoolRange window = axis.window(output);
      EXPECT_EQ(window.begin <= pixel && pixel < window.end, outputs.begin <= output && output < outputs.end)
          << "pixel " << pixel << " of " << axis.input << ", output " << output << " of " << axis.output;
    }
  }
}

TEST(PoolWindow, KnowsTheWindowsOfAPixel) {
  for (int64_t input = 1; input <= 12; ++input) {
    for (int64_t kernel = 1; kernel <= 4; ++kernel) {
      for (int64_t stride = 1; stride <= 4; ++stride) {
        for (int64_t padding = 0; 2 * padding <= kernel; ++padding) {
          for (const bool ceil_mode : {false, true}) {
            const Pool2dOptions options{
                .kernel = kernel, .stride = stride, .padding = padding, .ceil_mode = ceil_mode};
            if (input + 2 * padding < kernel) continue;
            const int64_t output = window_counts({input, input}, options).height;
            expect_inverse(PoolAxis{input, output, kernel, stride, padding, true});
          }
        }
      }
    }
  }
}

TEST(PoolWindow, KnowsTheAdaptiveWindowsOfAPixel) {
  for (int64_t input = 1; input <= 14; ++input) {
    for (int64_t output = 1; output <= 16; ++output) expect_inverse(AdaptivePoolAxis{input, output});
  }
}

}  // namespace
}  // namespace ds
