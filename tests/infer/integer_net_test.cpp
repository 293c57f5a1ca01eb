#include "infer/integer_net.h"

#include <gmock/gmock.h>

#include <limits>

#include "infer/cpu/cpu_net.h"
#include "infer/reference.h"
#include "tests/layers/support.h"

namespace ds::infer {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

/// Pixels times 2^left.
Node input(const Shape& shape, DType type, int left = 0) {
  Node node{.kind = NodeKind::kInput, .place = "input", .shape = shape, .format = {.type = type}};
  node.low = node.format.lowest();
  node.high = node.format.highest();
  const auto channels = static_cast<size_t>(shape[2]);
  node.rescale = {.multiplier = std::vector<int32_t>(channels, 1 << left),
                  .addend = std::vector<int64_t>(channels, 0),
                  .shift = std::vector<int32_t>(channels, 0)};
  return node;
}

/// A 1x1 convolution with weights of 1, one output.
Node pointwise(int64_t height, int64_t width, int64_t channels) {
  Node node{
      .kind = NodeKind::kConv2d, .place = "conv", .inputs = {0}, .shape = {height, width, 1}, .high = 255};
  const ShiftFormat format{.method = ShiftMethod::kPs, .bits = 2};
  node.filters = {.format = format,
                  .shape = {1, 1, 1, channels},
                  .codes = pack(std::vector<float>(static_cast<size_t>(channels), 1.0F), format)};
  node.rescale = {.multiplier = {1}, .addend = {0}, .shift = {0}};
  return node;
}

void expect_reference(const IntegerNet& net, const Tensor& images) {
  const std::vector<int32_t> expected = run_reference(net, images).to_vector<int32_t>();
  for (const bool shifts_only : {false, true}) {
    EXPECT_EQ(CpuNet(net, {.shifts_only = shifts_only})(images).to_vector<int32_t>(), expected);
  }
}

TEST(IntegerNet, SumsAWindowThat32BitsDoNotHold) {
  Node average{
      .kind = NodeKind::kAvgPool2d, .inputs = {0}, .shape = {1, 1, 1}, .format = {.type = DType::kI16}};
  average.low = 0;
  average.high = average.format.highest();
  average.pool = {.kernel = {300, 300}, .stride = {300, 300}};
  average.rescale = {.multiplier = {1}, .addend = {0}, .shift = {17}};
  const IntegerNet net({input({300, 300, 1}, DType::kI16, 7), average});
  EXPECT_GT(net.bounds()[1].accumulator.high, std::numeric_limits<int32_t>::max());
  expect_reference(net, Tensor::full({1, 300, 300, 1}, 255.0, DType::kU8));
}

TEST(IntegerNet, ShiftsSumsByMoreThanTheirBits) {
  Node node = input({2, 2, 1}, DType::kI8);
  node.rescale.pre_shift = 33;
  node.rescale.addend = {-5};
  expect_reference(IntegerNet({node}), Tensor::full({1, 2, 2, 1}, 200.0, DType::kU8));
}

TEST(IntegerNet, ReadsTwiceWhatABytesDoesNotHold) {
  const ShiftFormat q4{.method = ShiftMethod::kQ, .bits = 4};
  for (const DType type : {DType::kU8, DType::kI8}) {
    Node node = pointwise(3, 5, 7);
    node.filters.format = q4;
    node.filters.codes = pack(std::vector<float>{1, -1, 0.5F, 1, -0.0078125F, -1, 0.25F}, q4);
    node.rescale.shift = {7};
    node.format.type = DType::kI16;
    node.low = node.format.lowest();
    node.high = node.format.highest();
    Node first = input({3, 5, 7}, type);
    first.rescale.addend.assign(7, type == DType::kI8 ? -90 : 0);
    Tensor images = Tensor::empty({1, 3, 5, 7}, DType::kU8);
    for (int64_t i = 0; i < images.numel(); ++i) images.data<uint8_t>()[i] = static_cast<uint8_t>(37 * i);
    expect_reference(IntegerNet({first, node}), images);
  }
}

TEST(IntegerNet, RefusesWhatItCannotRun) {
  const auto refused = [](std::vector<Node> nodes) {
    return error_of([&] { IntegerNet net(std::move(nodes)); });
  };
  EXPECT_THAT(refused({}), HasSubstr("no nodes"));
  Node pool{.kind = NodeKind::kMaxPool2d, .place = "pool", .inputs = {0}, .shape = {1, 1, 1}};
  pool.pool = {.kernel = 2, .stride = 2};
  pool.format.type = DType::kI32;
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kI32), pool}),
              AllOf(HasSubstr("node 1 (max_pool2d \"pool\")"), HasSubstr("i32, which results alone are")));

  Node padded = pointwise(5, 5, 1);
  padded.convolution = {.stride = 1 << 18, .padding = 1 << 19};
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), padded}), HasSubstr("elements in all"));

  Node format = pointwise(2, 2, 1);
  format.format.fraction_bits = std::numeric_limits<int>::min();
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), format}), HasSubstr("fraction bits"));

  Node addend = pointwise(2, 2, 1);
  addend.rescale.addend = {std::numeric_limits<int64_t>::min()};
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), addend}), HasSubstr("addend of channel 0"));

  Node wide = pointwise(2, 2, 1);
  wide.rescale.multiplier = {std::numeric_limits<int32_t>::max()};
  wide.rescale.addend = {(int64_t{1} << 62) - 5};
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), wide}), HasSubstr("can leave 63 bits"));

  Node codes = pointwise(2, 2, 1);
  codes.filters.shape = {1, 1, 1, 1 << 20};
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), codes}), HasSubstr("weight has shape"));

  Node later = pointwise(2, 2, 1);
  later.inputs = {1};
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), later}), HasSubstr("input 1 is no earlier node"));
  Node other = pointwise(2, 3, 1);
  EXPECT_THAT(refused({input({2, 2, 1}, DType::kU8), other}),
              HasSubstr("shape [2, 3, 1], expected [2, 2, 1]"));
}

/// Also by what knows of no nodes: codes, shapes.
TEST(IntegerNet, NamesTheNodeWhateverDoesNotFit) {
  const auto refused = [](const Node& node) {
    const Shape image = {4, 4, 1};
    return error_of([&] { IntegerNet net({input(image, DType::kU8), node}); });
  };
  const auto named = [](const char* what) {
    return AllOf(HasSubstr("[integer_net] node 1 (conv2d \"conv\")"), HasSubstr(what));
  };
  Node code = pointwise(4, 4, 1);
  code.filters.format = {.method = ShiftMethod::kPs, .bits = 4};
  code.filters.codes = {0x08};  // a negative zero
  EXPECT_THAT(refused(code), named("code 0x08 is not one of ps, 4 bits"));

  Node spare = pointwise(4, 4, 1);
  spare.filters.codes = {0x41};
  EXPECT_THAT(refused(spare), named("spare bits"));

  Node outputs = pointwise(4, 4, 1);
  outputs.filters.shape = {int64_t{1} << 60, 1, 1, 1};  // 2^64 elements of the image that it makes
  EXPECT_THAT(refused(outputs), named("4x4 outputs of 1152921504606846976 channels"));

  Node padded = pointwise(4, 4, 1);
  padded.convolution.padding = 1 << 20;
  padded.filters.shape = {1 << 26, 1, 1, 1};
  EXPECT_THAT(refused(padded), named("outputs of 67108864 channels"));

  Node offset = pointwise(4, 4, 1);
  offset.filters.format.offset = 100;
  EXPECT_THAT(refused(offset), named("exponent offset is 100"));
}

TEST(IntegerNet, KnowsHowWideItsSumsAre) {
  Node node = pointwise(1, 1, 3);
  const IntegerNet net({input({1, 1, 3}, DType::kU8), node});
  EXPECT_EQ(net.bounds()[1].accumulator.high, 3 * 255);
  EXPECT_EQ(net.bounds()[1].accumulator.bits(), 11);
  EXPECT_EQ((Interval{.low = -128, .high = 127}).bits(), 8);
  EXPECT_EQ((Interval{.low = 0, .high = 128}).bits(), 9);
}

}  // namespace
}  // namespace ds::infer
