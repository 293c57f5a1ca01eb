#include "autograd/optim/ema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::HasSubstr;

float first(const Tensor& tensor) { return tensor.to_vector<float>()[0]; }

TEST(Ema, AveragesWithAWarmUp) {
  Variable w = leaf({1});
  Ema ema({w}, {.decay = 0.3});
  double expected = 1.0;
  for (int t = 1; t <= 20; ++t) {
    w.mutable_value().fill(t);
    ema.update();
    const double decay = std::min(0.3, (1.0 + t) / (10.0 + t));
    expected = decay * expected + (1.0 - decay) * t;
    EXPECT_NEAR(first(ema.state().tensors[0].second), expected, 1e-5 * expected);
  }
}

TEST(Ema, SwapsInAndOut) {
  Variable w = leaf({1});
  Ema ema({w}, {.decay = 0.999});
  w.mutable_value().fill(5.0);
  ema.update();
  const float average = first(ema.state().tensors[0].second);
  {
    const EmaScope averaged(&ema);
    EXPECT_EQ(first(w.value()), average);
    EXPECT_TRUE(ema.swapped());
    EXPECT_THAT(error_of([&] { ema.update(); }), HasSubstr("swapped in"));
    EXPECT_THAT(error_of([&] { ema.state(); }), HasSubstr("swapped in"));
  }
  EXPECT_EQ(first(w.value()), 5.0F);
  EXPECT_EQ(first(ema.state().tensors[0].second), average);
  const EmaScope nothing(nullptr);
}

TEST(Ema, AveragesBuffersWithTheParameters) {
  Variable w = leaf({1});
  Tensor mean = vector_of({1});
  Ema ema({w}, {.decay = 0.999}, {&mean});
  w.mutable_value().fill(5.0);
  mean.fill(5.0);
  ema.update();
  const float average = first(ema.state().tensors[0].second);
  {
    const EmaScope averaged(&ema);
    EXPECT_EQ(first(mean), average);
  }
  EXPECT_EQ(first(mean), 5.0F);
  EXPECT_EQ(ema.state().tensors[1].first, "buffer.0");
}

TEST(Ema, ResumesWithEqualBits) {
  Variable w = leaf({1, 2});
  Ema ema({w});
  const auto advance = [&](Ema& target, int from, int to) {
    for (int t = from; t < to; ++t) {
      w.mutable_value().copy_from(uniform({2}, static_cast<uint64_t>(t)));
      target.update();
    }
  };
  advance(ema, 0, 5);
  Ema resumed({w});
  resumed.load_state(ema.state());
  advance(ema, 5, 9);
  advance(resumed, 5, 9);
  EXPECT_TRUE(same_bits(ema.state().tensors[0].second, resumed.state().tensors[0].second));
  EXPECT_EQ(resumed.state().updates, 9);
}

TEST(Ema, RejectsWhatDoesNotFit) {
  Variable w = leaf({1});
  Ema ema({w});
  EmaState state = ema.state();
  state.tensors[0].second = Tensor::zeros({2});
  EXPECT_THAT(error_of([&] { ema.load_state(state); }),
              HasSubstr("found f32 [2], expected \"0\" with f32 [1]"));
  EXPECT_THAT(error_of([&] { ema.load_state({}); }), HasSubstr("0 averages, expected 1"));
  EXPECT_THAT(error_of([&] { Ema({w}, {.decay = 1.0}); }), HasSubstr("decay is 1"));
  EXPECT_THAT(error_of([&] { Ema({w, w}); }), HasSubstr("listed twice"));
  w.retire("converted");
  EXPECT_THAT(error_of([&] { ema.update(); }), HasSubstr("was replaced (converted)"));
}

}  // namespace
}  // namespace ds::test
