#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/ops.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

constexpr Device kCuda{.type = DeviceType::kCuda};

class CudaMemory : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_F(CudaMemory, ThatIsNotThereIsAnErrorAndTheDeviceGoesOn) {
  EXPECT_THAT(test::error_of([] { Tensor::empty({int64_t{1} << 42}, DType::kF32, kCuda); }),
              testing::HasSubstr("cannot allocate 17592186044416 bytes on cuda:0"));
  const Tensor x = Tensor::full({1000}, 2.0, DType::kF32, kCuda);
  EXPECT_EQ(ops::sum_squares(x), 4000.0);
}

TEST_F(CudaMemory, IsNotReadByTheHost) {
  const Tensor x = Tensor::zeros({3}, DType::kF32, kCuda);
  EXPECT_THAT(test::error_of([&] { x.span<float>(); }), testing::HasSubstr("on cuda:0, expected one on cpu"));
}

TEST_F(CudaMemory, HasANameForItsDevice) {
  EXPECT_THAT(cuda::describe_device(0), testing::HasSubstr("compute capability"));
}

}  // namespace
}  // namespace ds
