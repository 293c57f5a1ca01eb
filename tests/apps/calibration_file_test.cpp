#include "apps/deepshift/calibration_file.h"

#include <gmock/gmock.h>

#include "core/safetensors.h"
#include "tests/layers/support.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using test::counting;
using test::error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

const Shape kImage{2, 3, 2};  // H,W,C

class CalibrationFile : public testing::Test {
 protected:
  std::string refused(const std::vector<NamedTensor>& tensors) {
    write_safetensors(path_, tensors);
    return error_of([&] { read_calibration_file(path_, {}, kImage); });
  }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "images.safetensors";
};

TEST_F(CalibrationFile, HasPyTorchsAxes) {
  const Tensor stored = counting({4, 2, 2, 3});  // N,C,H,W
  for (const char* name : {"input", "images"}) {
    write_safetensors(path_, {{name, stored}, {"labels", counting({4})}});
    EXPECT_TRUE(is_calibration_file(path_));
    const Tensor images = read_calibration_file(path_, {.images = 3}, kImage);
    ASSERT_EQ(images.shape(), (Shape{3, 2, 3, 2}));
    for (int64_t i = 0; i < images.numel(); ++i) {
      const int64_t c = i % 2;
      const int64_t x = i / 2 % 3;
      const int64_t y = i / 6 % 2;
      const int64_t n = i / 12;
      EXPECT_EQ(images.data<float>()[i], stored.data<float>()[((n * 2 + c) * 2 + y) * 3 + x]) << i;
    }
    EXPECT_EQ(read_calibration_file(path_, {}, kImage).size(0), 4) << "all that there are";
  }
  EXPECT_FALSE(is_calibration_file(folder_.path()));
  EXPECT_FALSE(is_calibration_file(folder_ / "absent"));
}

TEST_F(CalibrationFile, RefusesWhatTheNetworkDoesNotTake) {
  EXPECT_THAT(refused({{"x", counting({4, 2, 2, 3})}}),
              AllOf(HasSubstr(path_), HasSubstr("has none of the tensors input and images")));
  EXPECT_THAT(refused({{"input", counting({4, 2, 2, 3})}, {"images", counting({4, 2, 2, 3})}}),
              HasSubstr("has both"));
  EXPECT_THAT(refused({{"input", counting({4, 2, 3, 2})}}),
              HasSubstr("input is f32 [4, 2, 3, 2], expected f32 [N, 2, 2, 3]"));
  EXPECT_THAT(refused({{"input", Tensor::zeros({0, 2, 2, 3})}}), HasSubstr("expected f32 [N, 2, 2, 3]"));
  EXPECT_THAT(refused({{"input", counting({2, 2, 3})}}), HasSubstr("expected f32"));
  EXPECT_THAT(refused({{"images", Tensor::zeros({4, 2, 2, 3}, DType::kU8)}}), HasSubstr("images is u8"));
}

}  // namespace
}  // namespace ds::apps
