#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "autograd/tape.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Trace, ListsCallsWithScopesOptionsAndNamedLeaves) {
  Variable weight(uniform({4, 3, 3, 2}, 1), true);
  weight.set_name("block.conv.weight");
  const auto network = [&](const Variable& x) {
    const TraceScope block("block");
    Variable y;
    {
      const TraceScope conv("conv");
      y = conv2d(x, weight, {}, {.stride = 2});
    }
    return relu(y) + y;
  };
  const Graph graph = trace(network, uniform({3, 7, 7, 2}, 2));

  ASSERT_EQ(graph.nodes.size(), 3U);
  EXPECT_EQ(graph.nodes[0].kind, "conv2d");
  EXPECT_EQ(graph.nodes[0].scope, "block.conv");
  EXPECT_EQ(std::any_cast<Conv2dOptions>(graph.nodes[0].options).stride, Size2d(2));
  EXPECT_THAT(graph.nodes[0].inputs, ElementsAre(0, 1, -1));
  EXPECT_EQ(graph.nodes[1].scope, "block");
  EXPECT_THAT(graph.nodes[2].inputs, ElementsAre(graph.nodes[1].output, graph.nodes[0].output));
  EXPECT_EQ(graph.output, graph.nodes[2].output);
  EXPECT_EQ(graph.values[0].name, "input");
  EXPECT_EQ(graph.values[0].value.shape(), Shape({1, 7, 7, 2}));
  EXPECT_EQ(graph.values[1].name, "block.conv.weight");
  EXPECT_EQ(graph.values[1].producer, -1);
  EXPECT_EQ(graph.values[static_cast<size_t>(graph.output)].producer, 2);
  EXPECT_FALSE(tracing());
}

TEST(Trace, EvaluatesAndRecordsNoGradients) {
  const Variable gamma(Tensor::full({2}, 1.0), true);
  const Variable beta(Tensor::zeros({2}), true);
  Tensor mean = Tensor::zeros({2});
  Tensor variance = Tensor::full({2}, 1.0);
  const auto network = [&](const Variable& x) {
    const Variable y = batch_norm(x, gamma, beta, mean, variance, {.training = true});
    EXPECT_FALSE(y.requires_grad());
    return dropout(y, {.p = 0.5, .training = true});
  };
  const Graph graph = trace(network, uniform({1, 2}, 1));  // one row: training would fail
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_FALSE(std::any_cast<BatchNormOptions>(graph.nodes[0].options).training);
  EXPECT_EQ(graph.nodes[0].inputs.size(), 5U) << "the running statistics are inputs";
  EXPECT_THAT(mean.to_vector<float>(), ElementsAre(0, 0));
}

TEST(Trace, RejectsAGraphThatDependsOnTheBatch) {
  const Tensor sample = uniform({2, 3}, 1);
  const auto other_call = [](const Variable& x) { return x.size(0) == 1 ? relu(x * 2.0) : relu6(x * 2.0); };
  EXPECT_THAT(error_of([&] { trace(other_call, sample); }),
              AllOf(HasSubstr("node 1 is relu for one row, relu6 for two")));
  const auto more_calls = [](const Variable& x) { return x.size(0) == 1 ? x * 2.0 : relu(x * 2.0); };
  EXPECT_THAT(error_of([&] { trace(more_calls, sample); }), HasSubstr("node 1 is nothing for one row, relu"));
  const auto other_shape = [](const Variable& x) { return reshape(x, {1, 3 * x.size(0)}); };
  EXPECT_THAT(error_of([&] { trace(other_shape, sample); }), HasSubstr("other inputs or shapes"));
  const auto frozen = [](const Variable& x) { return relu(x) + (x * 2.0).detach(); };
  EXPECT_THAT(error_of([&] { trace(frozen, sample); }), HasSubstr("node 2 is add"))
      << "a constant that grows with the batch is no constant";
}

TEST(Trace, RejectsWhatIsNotRecorded) {
  const Tensor sample = uniform({2, 3}, 1);
  EXPECT_THAT(error_of([&] { trace([](const Variable& x) { return relu(x).detach(); }, sample); }),
              HasSubstr("the output was not made by recorded functions"));
  EXPECT_THAT(error_of([&] {
                trace(
                    [&](const Variable& x) { return trace([](const Variable& y) { return y; }, sample), x; },
                    sample);
              }),
              HasSubstr("running on this thread already"));
  EXPECT_THAT(error_of([&] { trace([](const Variable& x) { return x; }, Tensor::full({}, 1.0)); }),
              HasSubstr("expected N,..."));
  EXPECT_FALSE(tracing());
}

}  // namespace
}  // namespace ds::test
