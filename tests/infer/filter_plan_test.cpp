#include "infer/cpu/filter_plan.h"

#include <gtest/gtest.h>

#include <set>
#include <span>
#include <vector>

#include "infer/cpu/cpu_net.h"
#include "infer/cpu/kernels/select.h"
#include "infer/reference.h"

namespace ds::infer {
namespace {

/// u8 pixels, and a convolution of `taps` x 1 whose padding keeps the 8x6 image's size: the windows of every
/// row lack other taps.
std::vector<Node> column_net(int64_t taps) {
  Node input{.kind = NodeKind::kInput, .place = "input", .shape = {8, 6, 1}, .high = 255};
  input.rescale = {.multiplier = {1}, .addend = {0}, .shift = {0}};
  Node node{.kind = NodeKind::kConv2d, .place = "conv", .inputs = {0}, .shape = {8, 6, 3}};
  node.format.type = DType::kI16;
  node.low = node.format.lowest();
  node.high = node.format.highest();
  node.convolution.padding = {(taps - 1) / 2, 0};
  const ShiftFormat format{.method = ShiftMethod::kQ, .bits = 3};
  std::vector<float> weights;
  for (int64_t i = 0; i < 3 * taps; ++i) weights.push_back(i % 3 == 0 ? -0.5F : (i % 2 == 0 ? 1.0F : 0.125F));
  node.filters = {.format = format, .shape = {3, taps, 1, 1}, .codes = pack(weights, format)};
  node.rescale = {.multiplier = {1, -1, 1}, .addend = {7, 0, -100}, .shift = {1, 2, 0}};
  return {input, node};
}

FilterPlan plan_of(const IntegerNet& net, const IntegerKernels& kernels) {
  const Node& input = net.nodes()[0];
  const FilterInput form = choose_input(net.nodes()[1], input, net.bounds()[1].accumulator, false);
  EXPECT_FALSE(form.copied());
  Place place{.height = input.shape[0], .width = input.shape[1], .channels = 1};
  place.pixel_bytes = 1;
  place.image_bytes = place.height * place.row_bytes();
  return plan_filters(net.nodes()[1], input, form, place, *kernels.packed);
}

/// 256 rows of taps and as many classes of rows of outputs would make 65536 runs of 256.
TEST(FilterPlan, KeepsTheRunsOfAllRowsOnce) {
  constexpr int64_t kTaps = 15;
  const IntegerNet net(column_net(kTaps));
  Tensor images = Tensor::empty({2, 8, 6, 1}, DType::kU8);
  for (int64_t i = 0; i < images.numel(); ++i) images.data<uint8_t>()[i] = static_cast<uint8_t>(37 * i);
  const std::vector<int32_t> expected = run_reference(net, images).to_vector<int32_t>();
  for (const IntegerKernels* kernels : available_integer_kernels()) {
    const FilterPlan plan = plan_of(net, *kernels);
    EXPECT_EQ(std::set<int>(plan.row_classes.begin(), plan.row_classes.end()).size(), 8U);
    for (const FilterPanel& panel : plan.panels) {
      ASSERT_EQ(panel.runs.size(), 1U) << kernels->name;
      for (const auto& runs : panel.runs[0].variants) EXPECT_EQ(runs.size(), size_t{kTaps}) << kernels->name;
    }
    EXPECT_EQ(CpuNet(net, {.kernels = kernels})(images).to_vector<int32_t>(), expected) << kernels->name;
  }
}

/// Row y of the outputs has taps 7 - y to 14 - y, tap k at row y + k - 7 of the image.
TEST(FilterPlan, GivesEachRowTheRunsOfItsTaps) {
  const IntegerNet net(column_net(15));
  const FilterPlan plan = plan_of(net, *available_integer_kernels().back());
  for (int64_t y = 0; y < 8; ++y) {
    const auto row_class = static_cast<size_t>(plan.row_classes[static_cast<size_t>(y)]);
    for (const bool first : {false, true}) {
      const std::span<const PackedRun> runs = plan.panels[0].runs[0].of(row_class, first, !first);
      ASSERT_EQ(runs.size(), 8U);
      for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(runs[static_cast<size_t>(i)].offset, (i - y) * 6) << y;
    }
  }
}

}  // namespace
}  // namespace ds::infer
