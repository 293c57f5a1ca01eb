#include "layers/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/convert.h"
#include "layers/flatten.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using ::testing::HasSubstr;

TEST(Summary, CountsParametersWorkAndBytes) {
  const auto net =
      sequential(std::make_shared<Conv2d>(
                     4, 6, Conv2dLayerOptions{.kernel = 3, .padding = 1, .groups = 2, .bias = false}),
                 std::make_shared<BatchNorm2d>(6), std::make_shared<Relu>(), std::make_shared<Flatten>(),
                 std::make_shared<Linear>(5 * 7 * 6, 10));
  const Summary plain = summarize(*net, {5, 7, 4});
  ASSERT_EQ(plain.layers.size(), 5U);
  EXPECT_EQ(plain.layers[0].output, (Shape{1, 5, 7, 6}));
  EXPECT_EQ(plain.layers[0].multiply_accumulates, 5 * 7 * 6 * 3 * 3 * 2);
  EXPECT_EQ(plain.layers[0].bytes, 4 * 108);
  EXPECT_EQ(plain.layers[1].parameters, 12);
  EXPECT_EQ(plain.layers[1].bytes, 4 * 24);
  EXPECT_EQ(plain.layers[4].path, "4");
  EXPECT_EQ(plain.layers[4].multiply_accumulates, 2100);
  EXPECT_EQ(plain.parameters, 108 + 12 + 2110);
  EXPECT_EQ(plain.shift_adds, 0);

  convert_to_shift(*net, {.method = ShiftMethod::kPs, .weight_bits = 5},
                   [](const std::string&, int64_t depth) { return depth == 0; });
  const Summary shift = summarize(*net, {5, 7, 4});
  EXPECT_EQ(shift.parameters, plain.parameters);
  EXPECT_EQ(shift.layers[4].shift_adds, 2100);
  EXPECT_EQ(shift.layers[4].multiply_accumulates, 0);
  EXPECT_EQ(shift.layers[4].bytes, (2100 * 5 + 7) / 8 + 40);
  EXPECT_EQ(shift.multiply_accumulates, plain.multiply_accumulates - 2100);
  EXPECT_EQ(shift.bytes, plain.bytes - 4 * 2100 + (2100 * 5 + 7) / 8);
  convert_to_shift(*net, {.weight_bits = 4, .two_term = {"0"}},
                   [](const std::string& path, int64_t) { return path == "0"; });
  const Summary two_terms = summarize(*net, {5, 7, 4});
  EXPECT_EQ(two_terms.layers[0].shift_adds, 2 * plain.layers[0].multiply_accumulates);
  EXPECT_EQ(two_terms.layers[0].parameters, 108);
  EXPECT_EQ(two_terms.layers[0].bytes, 2 * 108 * 4 / 8);
  EXPECT_THAT(shift.str(), HasSubstr("Linear(210, 10, shift-ps 5 bits)"));
  EXPECT_THAT(shift.str(), HasSubstr("2,230"));
  EXPECT_THAT(test::error_of([&] { summarize(*net, {5, 7}); }), HasSubstr("[5, 7], expected H,W,C"));
}

}  // namespace
}  // namespace ds
