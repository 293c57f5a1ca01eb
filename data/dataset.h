// Labelled images in memory: u8 pixels, N,H,W,C.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace ds {

enum class Split : uint8_t { kTrain, kTest };

/// Per-channel mean and standard deviation of pixels in [0, 1].
struct Normalization {
  std::vector<float> mean;
  std::vector<float> deviation;
};

struct Dataset {
  Tensor images;  // u8 [N,H,W,C]
  Tensor labels;  // i64 [N]
  std::vector<std::string> classes;

  int64_t size() const { return labels.numel(); }
  int64_t channels() const { return images.size(3); }
  /// Images [begin, end), sharing memory.
  Dataset slice(int64_t begin, int64_t end) const;
  /// A copy of the images at these positions.
  Dataset select(const std::vector<int64_t>& indices) const;
};

}  // namespace ds
