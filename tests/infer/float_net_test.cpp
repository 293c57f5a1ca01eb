#include "infer/float_net.h"

#include <gmock/gmock.h>

#include <cmath>
#include <thread>

#include "autograd/functions.h"
#include "core/backend.h"
#include "layers/activation.h"
#include "layers/activation_quant.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/convert.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/registry.h"
#include "tests/layers/support.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using infer::FloatNet;
using test::error_of;
using testing::HasSubstr;
using testing::Not;

Tensor uniform_tensor(const Shape& shape, double low, double high) {
  Tensor values = Tensor::empty(shape);
  fill_uniform(values, low, high, default_generator());
  return values;
}

/// A network in evaluation whose batch norms are not the identity.
ModulePtr evaluated(ModulePtr network) {
  network->for_each([](const std::string&, Module& module) {
    if (dynamic_cast<BatchNorm2d*>(&module) == nullptr) return;
    for (const NamedParameter& parameter : module.named_parameters()) {
      Variable value = parameter.value;
      value.mutable_value().copy_from(uniform_tensor(value.shape(), 0.2, 1.2));
    }
    for (const NamedBuffer& buffer : module.named_buffers()) {
      buffer.value->copy_from(uniform_tensor(buffer.value->shape(), 0.2, 1.2));
    }
  });
  network->eval();
  return network;
}

void expect_close(const Tensor& found, const Tensor& expected, double tolerance) {
  ASSERT_EQ(found.shape(), expected.shape());
  double squares = 0.0;
  for (const float value : expected.span<float>()) squares += double{value} * value;
  const double rms = std::sqrt(squares / static_cast<double>(expected.numel()));
  for (int64_t i = 0; i < found.numel(); ++i) {
    EXPECT_LE(std::abs(found.data<float>()[i] - expected.data<float>()[i]), tolerance * rms) << i;
  }
}

/// Both on one to three images.
void expect_same_function(Module& network, const Shape& image, double tolerance = 1e-4) {
  const Tensor images = uniform_tensor({3, image[0], image[1], image[2]}, -1.0, 1.0);
  const NoGrad no_grad;
  for (const int64_t batch : {1, 3}) {
    const FloatNet net(trace(network, images), {.batch = batch});
    for (const int64_t count : {1, 2, 3}) {
      expect_close(net(images.slice(0, count)), network(images.slice(0, count)).value(), tolerance);
    }
  }
}

class FloatNetModels : public testing::TestWithParam<const char*> {};

TEST_P(FloatNetModels, ComputeTheNetworksFunction) {
  manual_seed(1);
  const models::ModelEntry& entry = models::find(GetParam());
  expect_same_function(*evaluated(entry.make({.classes = 10})), entry.input);
}

INSTANTIATE_TEST_SUITE_P(Models, FloatNetModels,
                         testing::Values("mnist_conv", "mnist_fc", "mobilenet_v2_cifar", "resnet18_cifar",
                                         "resnet20", "resnet18", "resnet50"),
                         [](const auto& info) { return std::string(info.param); });

TEST(FloatNet, ComputesTheNetworksFunctionWithEveryEngine) {
  for (const Engine engine : kEngines) {
    manual_seed(2);
    const test::ScopedEngine scope(engine);
    expect_same_function(*evaluated(models::make("resnet20")), {32, 32, 3});
  }
}

TEST(FloatNet, ComputesShiftNetworksWithRoundedActivations) {
  manual_seed(3);
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    const ModulePtr network = evaluated(models::make("resnet20"));
    convert_to_shift(*network, {.method = method, .weight_bits = 4});
    expect_same_function(*network, {32, 32, 3});
  }
  // A rounded activation can fall to the other side: one step of 2^-8 where a convolution differs by 1e-7.
  const ModulePtr network = evaluated(
      sequential(std::make_shared<Conv2d>(3, 8, Conv2dLayerOptions{.kernel = 3}), std::make_shared<Relu>()));
  quantize_activations(*network, ActivationQuantOptions{.format = parse_activation_format("8.8")});
  expect_same_function(*network, {9, 9, 3});
}

TEST(FloatNet, FoldsBatchNormAndFusesWhatFollows) {
  const ModulePtr network = evaluated(models::make("resnet20"));
  const std::string text = FloatNet(trace(*network, Tensor::zeros({1, 32, 32, 3}))).str();
  EXPECT_THAT(text, HasSubstr("layer1.0.conv1: conv2d, ReLU to [1, 32, 32, 16]: Winograd"));
  EXPECT_THAT(text, HasSubstr("layer2.1.conv2: conv2d + shortcut, ReLU to [1, 16, 16, 32]"));
  for (const char* kind : {"batch_norm", ": add", ": relu"}) EXPECT_THAT(text, Not(HasSubstr(kind)));
  // 19 convolutions, two shortcuts of two calls each, pooling and the linear layer
  EXPECT_EQ(std::ranges::count(text, '\n'), 25);
}

TEST(FloatNet, KeepsABatchNormThatCannotBeFolded) {
  manual_seed(4);
  const auto block = sequential(std::make_shared<BatchNorm2d>(3), std::make_shared<Relu>(),
                                std::make_shared<Conv2d>(3, 5, Conv2dLayerOptions{.kernel = 3}),
                                std::make_shared<Relu>(), std::make_shared<BatchNorm2d>(5));
  const ModulePtr network = evaluated(block);
  expect_same_function(*network, {6, 7, 3});
  EXPECT_THAT(FloatNet(trace(*network, Tensor::zeros({1, 6, 7, 3}))).str(),
              HasSubstr("0: batch_norm, ReLU to [1, 6, 7, 3]"));
}

/// What `function` computes of 4 channels, by itself and by a FloatNet.
void expect_same(const std::function<Variable(const Variable&)>& function) {
  manual_seed(5);
  const Tensor x = uniform_tensor({2, 5, 5, 4}, -1.0, 1.0);
  const NoGrad no_grad;
  expect_close(FloatNet(trace(function, x))(x), function(x).value(), 1e-5);
}

TEST(FloatNet, DoesNotFuseWhatIsUsedTwice) {
  const Variable w(Tensor::full({4, 1, 1, 4}, 0.25));
  expect_same([&](const Variable& x) {
    const Variable y = conv2d(x, w, {});
    return relu(y) + y;
  });
  expect_same([&](const Variable& x) {
    const Variable y = conv2d(x, w, {});
    return y + y;
  });
  expect_same([&](const Variable& x) {
    const Variable y = conv2d(x, w, {});
    return concat({y, relu(y + x)});
  });
}

TEST(FloatNet, AddsInTheOrderInWhichOperandsAreMade) {
  const Variable w(Tensor::full({4, 1, 1, 4}, 0.25));
  const Variable v(Tensor::full({4, 3, 3, 4}, -0.125));
  expect_same([&](const Variable& x) {
    const Variable first = conv2d(x, w, {});
    const Variable second = conv2d(x, v, {}, {.padding = 1});
    return relu6(second + first) + conv2d(first, w, {});
  });
  expect_same([&](const Variable& x) {
    const Variable first = conv2d(x, w, {});
    return relu(first + relu(conv2d(x, v, {}, {.padding = 1})));
  });
  expect_same([&](const Variable& x) {  // two additions to one convolution
    return conv2d(x, w, {}) + x + relu(x);
  });
}

TEST(FloatNet, AddsOperandsOfOtherShapesOneByOne) {
  const Variable w(Tensor::full({1, 1, 1, 4}, 0.25));
  expect_same([&](const Variable& x) { return conv2d(x, w, {}) + x; });
}

TEST(FloatNet, KnowsEveryFunctionOfANetwork) {
  expect_same([](const Variable& x) {
    const Pool2dOptions window{.kernel = 3, .stride = 2, .padding = 1};
    const Variable y = concat({max_pool2d(x, window), avg_pool2d(x, window), subsample2d(x, 2)});
    const Variable z = relu6(y * 3.0 + y * y / (y + 3.0) - y);
    return concat({flatten(pad_channels(z, {.before = 1, .after = 2})), global_avg_pool2d(relu(y))});
  });
}

TEST(FloatNet, NamesACallThatItDoesNotKnow) {
  const auto function = [](const Variable& x) {
    const TraceScope scope("head");
    return record({.kind = "cube", .inputs = {x}}, x.value(), {});
  };
  EXPECT_THAT(error_of([&] {
                FloatNet(trace(function, Tensor::zeros({1, 2})));
              }),
              HasSubstr("[replay] cube in \"head\" is not known in inference"));
}

TEST(FloatNet, NamesAConstantThatItCannotTake) {
  const Variable constant(Tensor::full({2}, 1.0));
  EXPECT_THAT(error_of([&] {
                FloatNet(trace([&](const Variable& x) { return x * constant; }, Tensor::zeros({1, 2})));
              }),
              HasSubstr("multiply"));
  EXPECT_THAT(error_of([&] {
                FloatNet(trace([&](const Variable&) { return constant * constant; }, Tensor::zeros({1, 2})));
              }),
              HasSubstr("does not depend on the input"));
}

TEST(FloatNet, RefusesAnotherShape) {
  const FloatNet net(trace([](const Variable& x) { return relu(x); }, Tensor::zeros({1, 4, 4, 3})));
  EXPECT_THAT(error_of([&] {
                net(Tensor::zeros({1, 4, 5, 3}));
              }),
              HasSubstr("input has shape [1, 4, 5, 3], expected [1, 4, 4, 3] with any N >= 1"));
  EXPECT_THAT(error_of([&] { net(Tensor::zeros({4, 3})); }), HasSubstr("[4, 3]"));
}

TEST(FloatNet, RunsInManyThreadsWithEqualBits) {
  manual_seed(6);
  const ModulePtr network = evaluated(models::make("resnet20"));
  const Tensor images = uniform_tensor({1, 32, 32, 3}, -1.0, 1.0);
  const FloatNet net(trace(*network, images));
  const std::vector<float> expected = net(images).to_vector<float>();
  std::vector<std::vector<float>> found(3);
  std::vector<std::thread> threads;
  for (auto& result : found) {
    threads.emplace_back([&] { result = net(images).to_vector<float>(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : found) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace ds
