#include "infer/calibrate.h"

#include <gmock/gmock.h>

#include <limits>

#include "autograd/functions.h"
#include "tests/layers/support.h"

namespace ds::infer {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

/// A convolution of 1x1 without batch norm: [1 -1] times two channels.
Graph small_graph(bool with_relu) {
  const Variable w(Tensor::from(std::vector<float>{1, -1}, {1, 1, 1, 2}));
  return trace(
      [&](const Variable& x) {
        const Variable y = conv2d(x, w, {});
        return with_relu ? relu(y) : y;
      },
      Tensor::zeros({1, 1, 3, 2}));
}

TEST(Calibrate, TakesPivotsWhereTheOutputIsAboveZero) {
  const Tensor x = Tensor::from(std::vector<float>{3, 1, 0, 5, 9, 1}, {1, 1, 3, 2});  // 2, -5, 8
  const FusedGraph with_relu = fuse(small_graph(true));
  EXPECT_THAT(calibrate(with_relu, std::vector<Tensor>{x}).pivots[0], ElementsAre(5.0));
  const FusedGraph without = fuse(small_graph(false));
  EXPECT_THAT(calibrate(without, std::vector<Tensor>{x}).pivots[0], ElementsAre(5.0 / 3.0));
}

TEST(Calibrate, NamesWhatIsWrong) {
  const FusedGraph graph = fuse(small_graph(true));
  EXPECT_THAT(error_of([&] { calibrate(graph, {}); }), HasSubstr("no images"));
  EXPECT_THAT(error_of([&] {
                calibrate(graph, std::vector<Tensor>{Tensor::zeros({1, 2, 3, 2})});
              }),
              HasSubstr("images have shape [1, 2, 3, 2], expected [1, 1, 3, 2]"));
  EXPECT_THAT(error_of([&] {
                calibrate(graph, std::vector<Tensor>{
                                     Tensor::full({1, 1, 3, 2}, std::numeric_limits<double>::infinity())});
              }),
              HasSubstr("expected finite"));
}

}  // namespace
}  // namespace ds::infer
