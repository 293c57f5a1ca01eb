#include "infer/cuda/cuda_net.h"

#include <gmock/gmock.h>

#include <cmath>

#include "core/backend.h"
#include "core/random.h"
#include "infer/reference.h"
#include "tests/infer/networks.h"
#include "tests/infer/random_nets.h"
#include "tests/layers/support.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using infer::CudaNet;
using infer::IntegerNet;
using testing::HasSubstr;

class CudaNetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// By ways of all kinds: tiles of every size, the depth whole and in parts.
TEST_F(CudaNetTest, GivesTheIntegersOfTheReferenceForRandomNets) {
  std::string kernels;
  for (int64_t seed = 0; seed < test::trials(200); ++seed) {
    test::RandomNet random(static_cast<uint64_t>(seed), 1);
    const IntegerNet net = random.net();
    const Tensor images = random.images(4);
    const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
    for (int64_t way = 0; way < 6; ++way) {
      const CudaNet cuda(net, {.batch = way % 3 + 1,
                               .shifts_only = way == 5,
                               .tune = false,
                               .way = static_cast<int>(seed * 5 + way)});
      ASSERT_EQ(cuda(images).to_vector<int32_t>(), expected) << "seed " << seed << ", way " << way << "\n"
                                                             << net.str();
      for (const infer::CudaStepInfo& step : cuda.steps()) kernels += step.kernel + "\n";
    }
  }
  for (const char* kind : {"2-bit", "3-bit", "4-bit", "5-bit", "128 x 128", "128 x 64", "64 x 128", "64 x 64",
                           "16 x 128", "parts", "patches", "shifts and additions"}) {
    EXPECT_THAT(kernels, HasSubstr(kind));
  }
}

/// A linear layer of random weights on bytes of one type, to sums as they are or to bytes.
IntegerNet random_linear_net(Generator& generator, const Shape& filters, ShiftFormat format, DType input_type,
                             bool to_sums) {
  using infer::Node;
  using infer::NodeKind;
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(generator.below(static_cast<uint32_t>(high - low + 1)));
  };
  Node input{.kind = NodeKind::kInput, .place = "input", .shape = {1, 1, filters[1]}};
  input.format.type = input_type;
  input.low = input.format.lowest();
  input.high = input.format.highest();
  const auto inputs = static_cast<size_t>(filters[1]);
  input.rescale = {.multiplier = std::vector<int32_t>(inputs, 1),
                   .addend = std::vector<int64_t>(inputs, input.low),
                   .shift = std::vector<int32_t>(inputs)};
  Node flat = input;
  flat.kind = NodeKind::kFlatten;
  flat.place = "flat";
  flat.inputs = {0};
  flat.shape = {filters[1]};
  flat.rescale = {};
  Node linear{.kind = NodeKind::kLinear, .place = "fc", .inputs = {1}, .shape = {filters[0]}};
  linear.format.type = to_sums ? DType::kI32 : DType::kI8;
  linear.low = linear.format.lowest();
  linear.high = linear.format.highest();
  std::vector<float> weights(static_cast<size_t>(filters.numel()));
  for (float& w : weights) {
    const int p = between(format.range().p_min, 0);
    w = std::ldexp(between(0, 1) == 0 ? 1.0F : -1.0F, p);
    if (format.method == ShiftMethod::kPs && between(0, 3) == 0) w = 0.0F;
  }
  linear.filters = {.format = format, .shape = filters, .codes = pack(weights, format)};
  for (int64_t o = 0; o < filters[0]; ++o) {
    linear.rescale.multiplier.push_back(between(-300, 300));
    linear.rescale.addend.push_back(between(-100'000, 100'000));
    linear.rescale.shift.push_back(to_sums ? 0 : between(8, 22));
  }
  return IntegerNet({input, flat, linear});
}

/// Above all by the one that is for few rows, which only some devices have.
TEST_F(CudaNetTest, RunsLinearLayersOfSmallBatchesByEveryWay) {
  Generator generator(7);
  std::string kernels;
  int trial = 0;
  for (const int bits : {2, 3, 4, 5}) {
    for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
      for (const int64_t batch : {1, 2, 7, 8, 9, 31, 32}) {
        ++trial;
        const Shape filters = {1 + generator.below(200), 1 + generator.below(trial % 5 == 0 ? 3000 : 400)};
        const IntegerNet net = random_linear_net(generator, filters, {.method = method, .bits = bits},
                                                 trial % 2 == 0 ? DType::kU8 : DType::kI8, trial % 3 == 0);
        const Tensor images = test::random_images(batch, net.input(), static_cast<uint64_t>(trial));
        const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
        std::string first;
        for (int way = 0;; ++way) {
          const CudaNet cuda(net, {.batch = batch, .tune = false, .way = way});
          const std::string kernel = cuda.steps().back().kernel;
          if (way > 0 && kernel == first) break;  // all were there
          if (way == 0) first = kernel;
          for (int run = 0; run < 2; ++run) {
            ASSERT_EQ(cuda(images).to_vector<int32_t>(), expected)
                << kernel << ", batch " << batch << ", run " << run << "\n"
                << net.str();
          }
          kernels += kernel + "\n";
        }
      }
    }
  }
  if (kernels.find("few rows") == std::string::npos) GTEST_SKIP() << "no way for few rows on this device";
  for (const char* kind : {"few rows, 32 outputs\n", "few rows, 64 outputs, depth in 8 parts"}) {
    EXPECT_THAT(kernels, HasSubstr(kind));
  }
}

TEST_F(CudaNetTest, GivesTheIntegersOfTheReferenceForNetworks) {
  for (const test::NetworkCase& c : test::network_cases()) {
    const IntegerNet net = test::lowered(c);
    const Tensor images = test::random_images(5, net.input(), 3);
    const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
    for (const int64_t batch : {1, 3, 8}) {
      const CudaNet cuda(net, {.batch = batch});
      ASSERT_EQ(cuda(images).to_vector<int32_t>(), expected) << c.name() << ", batch " << batch;
      ASSERT_EQ(cuda(images).to_vector<int32_t>(), expected) << c.name() << ", run again";
    }
  }
}

/// Sums that 32 bits hold, of weights whose decoded sums they do not: 1 of Q at 5 bits counts -1 before it is
/// corrected.
TEST_F(CudaNetTest, CorrectsSumsThatLeave32BitsOnTheWay) {
  const IntegerNet net = test::net_of_large_sums();
  const Tensor images = Tensor::full({1, 1, 1, net.input()[2]}, 255.0, DType::kU8);
  const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
  for (int way = 0; way < 30; ++way) {
    const CudaNet cuda(net, {.tune = false, .way = way});
    EXPECT_EQ(cuda(images).to_vector<int32_t>(), expected) << cuda.steps().back().kernel;
  }
}

TEST_F(CudaNetTest, RefusesOtherImages) {
  const CudaNet cuda(test::lowered(test::network_cases().front()));
  EXPECT_THAT(test::error_of([&] {
                cuda(Tensor::zeros({1, 8, 8, 3}, DType::kU8));
              }),
              HasSubstr("expected u8 [N]"));
  EXPECT_THAT(test::error_of([&] { CudaNet(cuda.net(), {.batch = 0}); }), HasSubstr("batch is 0"));
}

TEST(CudaNet, SaysWhereThereIsNoDevice) {
  if (cuda_device_count() > 0) GTEST_SKIP() << "there is one";
  const IntegerNet net = test::lowered(test::network_cases().front());
  EXPECT_THAT(test::error_of([&] { CudaNet cuda(net); }), HasSubstr("CUDA"));
}

}  // namespace
}  // namespace ds
