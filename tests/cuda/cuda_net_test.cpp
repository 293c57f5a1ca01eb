#include "infer/cuda/cuda_net.h"

#include <gmock/gmock.h>

#include "core/backend.h"
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
