// Labelled images, u8 pixels, N,H,W,C: in memory, or in files that are decoded when they are asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/image_files.h"

namespace ds {

enum class Split : uint8_t { kTrain, kTest };

/// Per-channel mean and standard deviation of pixels in [0, 1].
struct Normalization {
  std::vector<float> mean;
  std::vector<float> deviation;
};

struct Dataset {
  Tensor images;  // u8 [N,H,W,C]; nothing where `files` has them
  Tensor labels;  // i64 [N]
  std::vector<std::string> classes;
  std::shared_ptr<const ImageFiles> files = nullptr;

  int64_t size() const { return labels.numel(); }
  /// H,W,C of one image.
  Shape image_shape() const;
  int64_t channels() const { return image_shape()[2]; }
  /// Images [begin, end); pixels share memory.
  Dataset slice(int64_t begin, int64_t end) const;
  /// The images at these positions; pixels are copied.
  Dataset select(const std::vector<int64_t>& indices) const;
  /// The same with its pixels in memory, without images that cannot be read.
  Dataset in_memory() const;
};

}  // namespace ds
