#include <gmock/gmock.h>

#include <cmath>
#include <thread>

#include "infer/c_api/deepshift.h"
#include "infer/integer_net_file.h"
#include "infer/reference.h"
#include "tests/infer/networks.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using testing::HasSubstr;
using testing::IsNull;
using testing::NotNull;
using testing::StrEq;

class CApi : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = folder_.path() + "/net.safetensors";
    infer::save_integer_net(path, expected_);
    net_ = ds_load(path.c_str());
    ASSERT_THAT(net_, NotNull()) << ds_last_error();
  }
  void TearDown() override { ds_free(net_); }

  test::TemporaryFolder folder_;
  infer::IntegerNet expected_ = test::lowered(test::network_cases().front());
  ds_net* net_ = nullptr;
};

TEST_F(CApi, GivesTheIntegersOfTheNet) {
  int64_t shape[3];
  ds_input_shape(net_, shape);
  EXPECT_EQ(Shape({shape[0], shape[1], shape[2]}), expected_.input());
  ASSERT_EQ(ds_output_count(net_), 10);
  const Tensor images = test::random_images(3, expected_.input(), 5);
  const std::vector<int32_t> expected = infer::run_reference(expected_, images).to_vector<int32_t>();
  std::vector<int32_t> integers(30);
  ASSERT_EQ(ds_run_u8_i32(net_, images.data<uint8_t>(), 3, integers.data()), 0);
  EXPECT_EQ(integers, expected);

  std::vector<float> outputs(30);
  ASSERT_EQ(ds_run_u8(net_, images.data<uint8_t>(), 3, outputs.data()), 0);
  std::vector<float> pixels(static_cast<size_t>(images.numel()));
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<float>(images.span<uint8_t>()[i]) / 255.0F;
  std::vector<float> from_floats(30);
  ASSERT_EQ(ds_run_f32(net_, pixels.data(), 3, from_floats.data()), 0);
  EXPECT_EQ(from_floats, outputs);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_FLOAT_EQ(outputs[i], std::ldexp(static_cast<float>(expected[i]), -ds_fraction_bits(net_)));
  }
}

TEST_F(CApi, TakesAnyFloats) {
  std::vector<float> pixels(static_cast<size_t>(2 * expected_.input().numel()), NAN);
  pixels.front() = INFINITY;
  std::vector<float> outputs(20);
  EXPECT_EQ(ds_run_f32(net_, pixels.data(), 2, outputs.data()), 0);
}

TEST_F(CApi, SaysWhatIsWrongInTheThreadWhereItHappened) {
  EXPECT_THAT(ds_load("nowhere.safetensors"), IsNull());
  EXPECT_THAT(ds_last_error(), HasSubstr("nowhere.safetensors"));
  EXPECT_THAT(ds_load(nullptr), IsNull());
  EXPECT_THAT(ds_last_error(), HasSubstr("path is NULL"));
  float output[10];
  EXPECT_EQ(ds_run_u8(net_, nullptr, 1, output), 1);
  EXPECT_THAT(ds_last_error(), HasSubstr("NULL"));
  EXPECT_EQ(ds_run_f32(net_, output, 0, output), 1);
  EXPECT_THAT(ds_last_error(), HasSubstr("0 images"));
  EXPECT_EQ(ds_set_threads(0), 1);
  std::thread([] { EXPECT_THAT(ds_last_error(), StrEq("")); }).join();
  ds_free(nullptr);
}

}  // namespace
}  // namespace ds
