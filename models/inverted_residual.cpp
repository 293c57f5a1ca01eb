#include "models/inverted_residual.h"

namespace ds::models {
namespace {

Conv2dLayerOptions without_bias(Conv2dLayerOptions options) {
  options.bias = false;
  return options;
}

}  // namespace

ConvNorm::ConvNorm(int64_t in, int64_t out, const Conv2dLayerOptions& options)
    : conv(std::make_shared<Conv2d>(in, out, without_bias(options))),
      norm(std::make_shared<BatchNorm2d>(out)) {}

ConvNorm expand(const InvertedResidualOptions& block) { return {block.in, block.in * block.expansion}; }

ConvNorm filter(const InvertedResidualOptions& block) {
  const int64_t channels = block.in * block.expansion;
  return {channels, channels, {.kernel = 3, .stride = block.stride, .padding = 1, .groups = channels}};
}

ConvNorm project(const InvertedResidualOptions& block) { return {block.in * block.expansion, block.out}; }

std::vector<InvertedResidualOptions> mobilenet_v2_blocks(int64_t stride_of_second_stage) {
  struct Stage {
    int64_t expansion;
    int64_t channels;
    int64_t blocks;
    int64_t stride;  // of its first block
  };
  const Stage stages[] = {
      {1, 16, 1, 1},  {6, 24, 2, stride_of_second_stage}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1},
      {6, 160, 3, 2}, {6, kMobileNetV2Last, 1, 1}};
  std::vector<InvertedResidualOptions> blocks;
  int64_t in = kMobileNetV2Stem;
  for (const Stage& stage : stages) {
    for (int64_t block = 0; block < stage.blocks; ++block) {
      blocks.push_back({.in = in,
                        .out = stage.channels,
                        .expansion = stage.expansion,
                        .stride = block == 0 ? stage.stride : 1});
      in = stage.channels;
    }
  }
  return blocks;
}

}  // namespace ds::models
