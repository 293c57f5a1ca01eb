// The format of pixels inside an integer net: as precise as the sums of what reads them leave it.
#include <gmock/gmock.h>

#include <algorithm>
#include <functional>

#include "autograd/functions.h"
#include "core/shift/pow2.h"
#include "infer/cpu/cpu_net.h"
#include "infer/lower.h"
#include "infer/reference.h"
#include "infer/rescale_width.h"
#include "tests/infer/networks.h"

namespace ds {
namespace {

using infer::IntegerNet;
using infer::LowerOptions;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

int64_t largest(const infer::Interval& sums) { return std::max(-sums.low, sums.high); }

/// Every value, in every channel.
Tensor all_pixels(int64_t channels) {
  Tensor image = Tensor::empty({16, 16, channels}, DType::kU8);
  for (int64_t i = 0; i < image.numel(); ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(i / channels);
  return image;
}

/// A range that is too small would saturate, and hide itself in what the net computes: that of the whole type
/// does not.
TEST(InputFormat, HasTheRangeOfWhatPixelsBecome) {
  const std::vector<LowerOptions> cases = {
      LowerOptions{},
      LowerOptions{.input_bits = 8},
      LowerOptions{.mean = {0.49F, 0.48F, 0.45F}, .deviation = {0.20F, 0.21F, 0.22F}},
      LowerOptions{.input_bits = 8, .mean = {0.49F, 0.48F, 0.45F}, .deviation = {0.20F, 0.21F, 0.22F}},
      LowerOptions{.mean = {-0.5F, -0.25F, -0.5F}, .deviation = {1.0F, 0.5F, 0.25F}},
      LowerOptions{.mean = {1.5F, 1.5F, 1.5F}, .deviation = {1.0F, 0.5F, 0.25F}}};
  for (const LowerOptions& options : cases) {
    const auto function = [](const Variable& x) { return relu(x); };
    const IntegerNet net = infer::lower(trace(function, Tensor::zeros({1, 16, 16, 3})),
                                        test::random_images(4, {16, 16, 3}, 5), options);
    const infer::Node& input = net.nodes()[0];
    std::vector<infer::Node> nodes = net.nodes();
    nodes[0].low = nodes[0].format.lowest();
    nodes[0].high = nodes[0].format.highest();
    const std::vector<Tensor> expected = infer::trace_reference(IntegerNet(nodes), all_pixels(3));
    const std::vector<int32_t> values = expected[0].to_vector<int32_t>();
    EXPECT_EQ(input.low, std::min(0, std::ranges::min(values))) << net.str();
    EXPECT_EQ(input.high, std::max(0, std::ranges::max(values))) << net.str();
    EXPECT_LE(net.nodes()[1].high, input.high) << "of a ReLU on pixels";
    const std::vector<Tensor> found = infer::trace_reference(net, all_pixels(3));
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].to_vector<int32_t>(), expected[i].to_vector<int32_t>()) << i;
    }
  }
}

TEST(InputFormat, LeavesAFirstLayerOf5BitsWithin32Bits) {
  const IntegerNet net = test::lowered({"resnet20", ShiftMethod::kQ, 5, 8, 3, 0.0});
  const int64_t sum = largest(net.bounds()[1].accumulator);
  EXPECT_LE(sum, infer::kLargestNarrowSum) << net.str();
  // And no bit less than that: twice the range, up to its rounding, would be too much.
  EXPECT_GT(2 * sum + net.nodes()[1].filters.largest_sum(), infer::kLargestNarrowSum) << net.str();
  EXPECT_TRUE(infer::rescales_in_32_bits(net, 1)) << net.str();
  EXPECT_THAT(infer::CpuNet(net).steps()[1].kernel,
              AllOf(Not(HasSubstr("pass")), Not(HasSubstr("64-bit rescaling"))));
}

/// A linear layer of 5 bits on 324 pixels, as `move` leaves them.
IntegerNet linear_net(const std::function<Variable(const Variable&)>& move) {
  manual_seed(3);
  Variable w(Tensor::empty({5, 324}), true);
  fill_uniform(w.mutable_value(), -0.5, 0.5, default_generator());
  const auto function = [&](const Variable& x) {
    return linear(flatten(move(x)), shift_q(w, {.range = shift_q_range(5)}), {});
  };
  return infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), test::random_images(4, {9, 9, 4}, 5));
}

TEST(InputFormat, HeedsReadersBehindWhatMovesPixels) {
  const std::vector<std::function<Variable(const Variable&)>> moves = {
      [](const Variable& x) { return x; },
      [](const Variable& x) { return fixed_point(x, {.fraction_bits = 5, .low = -128.0, .high = 127.0}); },
      [](const Variable& x) { return max_pool2d(x, {.kernel = 3, .stride = 1, .padding = 1}); },
      [](const Variable& x) { return relu(x); }};
  for (const auto& move : moves) {
    const IntegerNet net = linear_net(move);
    EXPECT_LE(largest(net.bounds().back().accumulator), infer::kLargestNarrowSum) << net.str();
    EXPECT_GE(net.nodes()[0].format.fraction_bits, 6) << net.str();
  }
}

/// Their sums are as large as the other values make them, whatever becomes of the pixels.
TEST(InputFormat, LosesNoBitsToReadersOfOtherValuesToo) {
  const auto beside_others = [](const Variable& x) {
    const Variable other = affine(x, {.scale = -0.5});
    return subsample2d(concat({x, other}), 2);
  };
  const auto bits_with = [&](float weight) {
    const Variable w(Tensor::full({2, 200}, weight), true);
    const auto function = [&](const Variable& x) {
      return linear(flatten(beside_others(x)), shift_q(w, {.range = shift_q_range(5)}), {});
    };
    const IntegerNet net =
        infer::lower(trace(function, Tensor::zeros({1, 9, 9, 4})), test::random_images(4, {9, 9, 4}, 5));
    return net.nodes()[0].format.fraction_bits;
  };
  EXPECT_EQ(bits_with(1.0F), bits_with(0x1p-15F));
}

TEST(InputFormat, KeepsAllBitsWhereNoneLeavesSumsWithin32Bits) {
  const Variable w(Tensor::full({2, 676}, 1.0), true);
  const auto function = [&](const Variable& x) {
    return linear(flatten(x), shift_q(w, {.range = shift_q_range(5)}), {});
  };
  const IntegerNet net =
      infer::lower(trace(function, Tensor::zeros({1, 13, 13, 4})), test::random_images(2, {13, 13, 4}, 5));
  EXPECT_GT(largest(net.bounds().back().accumulator), infer::kLargestNarrowSum);
  EXPECT_EQ(net.nodes()[0].format.fraction_bits, 14) << net.str();
}

}  // namespace
}  // namespace ds
