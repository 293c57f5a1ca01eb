#include "layers/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::counting;
using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// conv, bn and a Sequential of two linear layers behind a global pooling.
class Small : public Module {
 public:
  Small()
      : conv_(add("conv", std::make_shared<Conv2d>(1, 2, Conv2dLayerOptions{.kernel = 3, .padding = 1}))),
        bn_(add("bn", std::make_shared<BatchNorm2d>(2))),
        head_(add("head", sequential(std::make_shared<Linear>(2, 3),
                                     std::make_shared<Linear>(3, 2, LinearOptions{.bias = false})))) {}
  Variable forward(const Variable& x) override {
    return (*head_)(global_avg_pool2d(relu((*bn_)((*conv_)(x)))));
  }
  std::string describe() const override { return "Small"; }
  template <class M>
  void adopt_as(const std::string& name, std::shared_ptr<M> child) {
    add(name, std::move(child));
  }

 private:
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<BatchNorm2d> bn_;
  std::shared_ptr<Sequential> head_;
};

TEST(Module, NamesParametersAndBuffersByTheirPaths) {
  Small net;
  EXPECT_THAT(test::parameter_names(net), ElementsAre("conv.weight", "conv.bias", "bn.weight", "bn.bias",
                                                      "head.0.weight", "head.0.bias", "head.1.weight"));
  EXPECT_THAT(test::buffer_names(net), ElementsAre("bn.running_mean", "bn.running_var"));
  std::vector<ParameterRole> roles;
  for (const NamedParameter& parameter : net.named_parameters()) roles.push_back(parameter.role);
  EXPECT_THAT(roles, ElementsAre(ParameterRole::kWeight, ParameterRole::kBias, ParameterRole::kNorm,
                                 ParameterRole::kNorm, ParameterRole::kWeight, ParameterRole::kBias,
                                 ParameterRole::kWeight));
}

TEST(Module, VisitsParentsFirst) {
  Small net;
  std::vector<std::string> paths;
  net.for_each([&](const std::string& path, Module&) { paths.push_back(path); });
  EXPECT_THAT(paths, ElementsAre("", "conv", "bn", "head", "head.0", "head.1"));
}

TEST(Module, ModeReachesEveryModule) {
  Small net;
  const auto modes = [&] {
    std::vector<bool> all;
    net.for_each([&](const std::string&, Module& module) { all.push_back(module.training()); });
    return all;
  };
  EXPECT_EQ(modes(), std::vector<bool>(6, true));
  net.eval();
  EXPECT_EQ(modes(), std::vector<bool>(6, false));
}

TEST(Module, RefusesChildrenThatCannotBeNamed) {
  Small net;
  const auto linear = [] { return std::make_shared<Linear>(1, 1); };
  EXPECT_THAT(error_of([&] { net.adopt_as("conv", linear()); }), HasSubstr("two children named conv"));
  EXPECT_THAT(error_of([&] { net.adopt_as("a.b", linear()); }),
              HasSubstr("'a.b', expected a name without dots"));
  EXPECT_THAT(error_of([&] { net.adopt_as("", linear()); }), HasSubstr("expected a name"));
  EXPECT_THAT(error_of([&] { net.adopt_as("none", std::shared_ptr<Linear>()); }), HasSubstr("is not there"));
  const auto shared = linear();
  net.adopt_as("first", shared);
  EXPECT_THAT(error_of([&] { net.adopt_as("second", shared); }), HasSubstr("belongs to a module already"));
}

TEST(Module, ZeroGradForgetsGradients) {
  Small net;
  sum(net(Tensor::full({2, 4, 4, 1}, 1.0))).backward();
  EXPECT_TRUE(net.parameters()[0].grad().defined());
  net.zero_grad();
  for (const Variable& parameter : net.parameters()) EXPECT_FALSE(parameter.grad().defined());
}

TEST(Module, TraceNamesScopesAndParameters) {
  Small net;
  const Graph graph = trace(net, Tensor::full({2, 4, 4, 1}, 1.0));
  std::vector<std::string> calls;
  for (const TracedNode& node : graph.nodes) calls.push_back(node.scope + ":" + node.kind);
  EXPECT_THAT(calls, ElementsAre("conv:conv2d", "bn:batch_norm", ":relu", ":global_avg_pool2d",
                                 "head.0:linear", "head.1:linear"));
  std::vector<std::string> inputs;
  for (const int index : graph.nodes[0].inputs) {
    inputs.push_back(graph.values[static_cast<size_t>(index)].name);
  }
  EXPECT_THAT(inputs, ElementsAre("input", "conv.weight", "conv.bias"));
}

/// A layer whose author asks for the mode alone.
class Counting : public Module {
 public:
  Variable forward(const Variable& x) override {
    calls_in_training += training() ? 1 : 0;
    return relu(x);
  }
  std::string describe() const override { return "Counting"; }
  int calls_in_training = 0;
};

TEST(Module, TracesEvaluationWhateverTheMode) {
  const auto counting = std::make_shared<Counting>();
  const auto net = sequential(counting, std::make_shared<Linear>(2, 2));
  trace(*net, Tensor::zeros({1, 2}));
  EXPECT_EQ(counting->calls_in_training, 0);
  EXPECT_TRUE(net->training() && counting->training());
  (*net)(Tensor::zeros({1, 2}));
  EXPECT_EQ(counting->calls_in_training, 1);
}

/// Its layer is a member, but not registered.
class Forgetful : public Module {
 public:
  Variable forward(const Variable& x) override { return (*fc)(x); }
  std::string describe() const override { return "Forgetful"; }
  std::shared_ptr<Module> fc = std::make_shared<Linear>(2, 2);
};

TEST(Module, RefusesToCallALayerThatWasNotRegistered) {
  Forgetful net;
  EXPECT_THAT(error_of([&] {
                net(Tensor::zeros({1, 2}));
              }),
              HasSubstr("Linear(2, 2, float) is called within another module and belongs to none"));
  net.fc = std::make_shared<Counting>();
  net(Tensor::zeros({1, 2}));  // nothing to train
}

TEST(FileLayout, ConvolutionsArePermutedToPyTorchsOrder) {
  const FileLayout layout{.kind = FileLayout::Kind::kConvolution};
  const Tensor memory = counting({2, 2, 3, 4});  // O,kh,kw,I
  const Tensor file = layout.to_file(memory);
  ASSERT_EQ(file.shape(), (Shape{2, 4, 2, 3}));
  EXPECT_EQ(layout.file_shape(memory.shape()), file.shape());
  const auto in = memory.to_vector<float>();
  const auto out = file.to_vector<float>();
  for (size_t o = 0; o < 2; ++o) {
    for (size_t i = 0; i < 4; ++i) {
      for (size_t k = 0; k < 6; ++k) EXPECT_EQ(out[(o * 4 + i) * 6 + k], in[(o * 6 + k) * 4 + i]);
    }
  }
  EXPECT_EQ(layout.from_file(file, memory.shape()).to_vector<float>(), in);
}

TEST(FileLayout, LinearBehindAnImageReadsChannelsFirst) {
  const FileLayout layout{.kind = FileLayout::Kind::kFlattened, .flattened = {2, 3, 4}};  // H,W,C
  const Tensor memory = counting({2, 24});
  const auto out = layout.to_file(memory).to_vector<float>();
  for (size_t o = 0; o < 2; ++o) {
    for (size_t c = 0; c < 4; ++c) {
      for (size_t hw = 0; hw < 6; ++hw)
        EXPECT_EQ(out[o * 24 + c * 6 + hw], static_cast<float>(o * 24 + hw * 4 + c));
    }
  }
  EXPECT_EQ(layout.from_file(layout.to_file(memory), memory.shape()).to_vector<float>(),
            memory.to_vector<float>());
  EXPECT_THAT(error_of([&] {
                layout.from_file(counting({24, 2}), memory.shape());
              }),
              HasSubstr("[24, 2], expected [2, 24]"));
}

TEST(Module, FusedFunctionsAreTracedAsWhatTheyAreMadeOf) {
  struct Residual : Module {
    std::shared_ptr<BatchNorm2d> norm = add("norm", std::make_shared<BatchNorm2d>(4));
    Variable forward(const Variable& x) override { return norm->with_relu(x, norm->with_relu(x)); }
    std::string describe() const override { return "Residual"; }
  } net;
  const Tensor sample = Tensor::full({1, 2, 2, 4}, 0.5);
  std::vector<std::string> calls;
  for (const TracedNode& node : trace(net, sample).nodes) calls.push_back(node.kind);
  EXPECT_THAT(calls, ElementsAre("batch_norm", "relu", "batch_norm", "add", "relu"));
}

}  // namespace
}  // namespace ds
