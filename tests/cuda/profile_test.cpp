#include "core/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/ops.h"

namespace ds {
namespace {

TEST(CudaProfile, TimesOperationsOfTheDeviceAndClaimsNoPeaks) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const Tensor x = Tensor::full({512, 512}, 1.0, DType::kF32, {.type = DeviceType::kCuda});
  start_profile();
  ops::gemm(x, x);
  stop_profile();
  ASSERT_EQ(profile().size(), 1U);
  EXPECT_EQ(profile()[0].name, "gemm");
  EXPECT_EQ(profile()[0].calls, 1);
  EXPECT_GT(profile()[0].seconds, 0.0);
  EXPECT_THAT(profile_report(), testing::Not(testing::HasSubstr("peaks")));
}

}  // namespace
}  // namespace ds
