// What the networks of MobileNetV2 share (Sandler et al. 2018, tables 1 and 2): inverted residual blocks,
// whose names in files, activations and shortcuts are the network's own.
#pragma once

#include <memory>
#include <vector>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"

namespace ds::models {

/// A convolution without bias, and the batch norm after it.
struct ConvNorm {
  ConvNorm(int64_t in, int64_t out, const Conv2dLayerOptions& options = {});

  std::shared_ptr<Conv2d> conv;
  std::shared_ptr<BatchNorm2d> norm;
};

struct InvertedResidualOptions {
  int64_t in = 1;
  int64_t out = 1;
  int64_t expansion = 1;  // of the channels between the convolutions
  int64_t stride = 1;     // of the 3x3 convolution
};

/// The three convolutions of a block: 1x1 to the expanded channels, 3x3 of each channel alone, 1x1 to the
/// outputs, which no activation follows.
ConvNorm expand(const InvertedResidualOptions& block);
ConvNorm filter(const InvertedResidualOptions& block);
ConvNorm project(const InvertedResidualOptions& block);

inline constexpr int64_t kMobileNetV2Stem = 32;    // channels that the first block takes
inline constexpr int64_t kMobileNetV2Last = 320;   // channels that the last block gives
inline constexpr int64_t kMobileNetV2Head = 1280;  // channels that the classifier takes

/// The 17 blocks, in order. Published with stride 2 in the second stage.
std::vector<InvertedResidualOptions> mobilenet_v2_blocks(int64_t stride_of_second_stage);

}  // namespace ds::models
