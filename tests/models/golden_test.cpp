// The networks for ImageNet against torchvision's: names and sizes of parameters, work, logits, and the
// gradient of every parameter. Parameters, images and probes are drawn here as
// tests/fixtures/make_model_fixtures.py draws them; the fixture has what PyTorch computed from them in
// double.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>

#include "autograd/functions.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "layers/dropout.h"
#include "layers/summary.h"
#include "models/registry.h"
#include "tests/layers/support.h"
#include "tests/support/data.h"

namespace ds {
namespace {

constexpr uint64_t kSeed = 7;
constexpr uint64_t kImagesStream = 1 << 20;
constexpr uint64_t kProbeStreams[] = {1 << 21, 1 << 22};
constexpr int64_t kProbePeriod = 65521;
constexpr double kAuxiliaryWeight = 0.3;
// Errors are measured by the norm of what is expected.
constexpr double kLogitTolerance = 1e-4;     // in float
constexpr double kGradientTolerance = 1e-6;  // in double; the fixture is float
constexpr double kRounding = 1e-10;          // of gradients that are 0 but for it

/// What torchvision documents (its table of classification weights: Params in evaluation, GFLOPS, which are
/// multiply-accumulates), and the side of the images whose gradients the fixture has.
struct Network {
  const char* name;
  int64_t parameters;
  double giga_multiply_accumulates;  // to two decimals
  int64_t side;

  friend void PrintTo(const Network& network, std::ostream* stream) { *stream << network.name; }
};
constexpr Network kNetworks[] = {
    {"alexnet", 61100840, 0.71, 96},      {"densenet121", 7978856, 2.83, 64},
    {"googlenet", 6624904, 1.50, 96},     {"mobilenet_v2", 3504872, 0.30, 64},
    {"resnet101", 44549160, 7.80, 64},    {"resnet18", 11689512, 1.81, 64},
    {"resnet34", 21797672, 3.66, 64},     {"resnet50", 25557032, 4.09, 64},
    {"squeezenet1_0", 1248424, 0.82, 96}, {"squeezenet1_1", 1235496, 0.35, 96},
    {"vgg16", 138357544, 15.47, 64},      {"vgg16_bn", 138365992, 15.47, 64},
};

struct Range {
  double low;
  double high;
};

Tensor drawn(uint64_t stream, const Shape& shape, Range range) {
  Tensor values = Tensor::empty(shape);
  Generator generator(kSeed, stream);
  fill_uniform(values, range.low, range.high, generator);
  return values;
}

/// Weights keep the variance of activations: through a ReLU where no batch norm follows.
Range range_of(const std::string& name, const Shape& file_shape, bool has_norms) {
  if (file_shape.rank() > 1) {
    const auto fan_in = static_cast<double>(file_shape.numel() / file_shape[0]);
    const double bound = std::sqrt((has_norms ? 3.0 : 6.0) / fan_in);
    return {-bound, bound};
  }
  if (name.ends_with(".weight") || name.ends_with(".running_var")) return {0.5, 1.5};
  return {-0.1, 0.1};
}

/// Draws every tensor of the network in the file's order of axes; streams count names in their order.
void fill(Module& network) {
  struct Slot {
    Tensor* value;
    FileLayout layout;
  };
  std::map<std::string, Slot> slots;
  std::vector<NamedParameter> parameters = network.named_parameters();
  for (NamedParameter& p : parameters) slots[p.name] = {&p.value.mutable_value(), p.layout};
  const std::vector<NamedBuffer> buffers = network.named_buffers();
  for (const NamedBuffer& buffer : buffers) slots[buffer.name] = {buffer.value, {}};
  uint64_t stream = 0;
  for (const auto& [name, slot] : slots) {
    const Shape shape = slot.layout.file_shape(slot.value->shape());
    const Tensor values = drawn(stream++, shape, range_of(name, shape, !buffers.empty()));
    slot.value->copy_from(slot.layout.from_file(values, slot.value->shape()));
  }
}

Tensor images(int64_t side) {
  const FileLayout layout{.kind = FileLayout::Kind::kConvolution};  // N,C,H,W to N,H,W,C
  return layout.from_file(drawn(kImagesStream, {2, 3, side, side}, {-1.75, 1.75}), {2, side, side, 3});
}

const SafetensorsFile& fixture() {
  static const SafetensorsFile file(test::fixture("models.safetensors"));
  return file;
}

/// By name, as the fixture has them.
std::vector<NamedParameter> sorted_parameters(Module& network) {
  std::vector<NamedParameter> parameters = network.named_parameters();
  std::ranges::sort(parameters, {}, &NamedParameter::name);
  return parameters;
}

void expect_names(const std::string& name, Module& network) {
  std::string names;
  for (const NamedParameter& parameter : sorted_parameters(network)) {
    names += (names.empty() ? "" : "\n") + parameter.name;
  }
  const auto expected = fixture().read(name + "/names").to_vector<uint8_t>();
  EXPECT_EQ(names, std::string(expected.begin(), expected.end()));
}

void expect_logits(const std::string& name, Module& network) {
  network.eval();
  const NoGrad no_grad;
  const auto found = network(images(224)).value().to_vector<float>();
  const auto expected = fixture().read(name + "/logits").to_vector<float>();
  ASSERT_EQ(found.size(), expected.size());
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    error += std::pow(double{found[i]} - expected[i], 2);
    norm += std::pow(expected[i], 2);
  }
  EXPECT_LE(std::sqrt(error), kLogitTolerance * std::sqrt(norm)) << name;
}

/// The gradient's norm, and its inner products with the probes, in the file's order of axes.
std::array<double, 3> measures(const NamedParameter& parameter) {
  const Tensor in_file_order = parameter.layout.to_file(parameter.value.grad());
  const std::span<const double> gradient = in_file_order.span<double>();
  std::array<double, 3> result{};
  for (const double g : gradient) result[0] += g * g;
  result[0] = std::sqrt(result[0]);
  for (size_t i = 0; i < 2; ++i) {
    Generator generator(kSeed, kProbeStreams[i]);
    std::vector<double> probe(std::min<size_t>(gradient.size(), kProbePeriod));
    for (double& value : probe) value = (2.0 * double{generator.uniform()} - 1.0) * std::sqrt(3.0);
    for (size_t j = 0; j < gradient.size(); ++j) result[i + 1] += gradient[j] * probe[j % probe.size()];
  }
  return result;
}

Variable loss_of(Module& network, const Tensor& x) {
  const Tensor labels = Tensor::from(std::vector<int64_t>{7, 903}, {2});
  Variable loss = cross_entropy(network(x), labels);
  for (const Variable& logits : network.take_auxiliary()) {
    loss = loss + kAuxiliaryWeight * cross_entropy(logits, labels);
  }
  return loss;
}

/// Everything in double: rounding alone, by the flips of ReLUs, changes gradients of deep networks in float
/// by a hundredth.
void make_double(Module& network) {
  for (Variable& parameter : network.parameters()) {
    parameter.mutable_value() = parameter.value().to(DType::kF64);
  }
  for (const NamedBuffer& buffer : network.named_buffers()) *buffer.value = buffer.value->to(DType::kF64);
}

class GoldenNetworks : public testing::TestWithParam<Network> {};

TEST_P(GoldenNetworks, HaveTheSizeAndTheLogitsOfTorchvisions) {
  const Network& expected = GetParam();
  const ModulePtr network = models::make(expected.name, {.classes = 1000});
  const Summary summary = summarize(*network, models::find(expected.name).input);
  EXPECT_EQ(summary.parameters, expected.parameters);
  EXPECT_EQ(std::round(static_cast<double>(summary.multiply_accumulates) / 1e7) / 100,
            expected.giga_multiply_accumulates);
  expect_names(expected.name, *network);
  fill(*network);
  expect_logits(expected.name, *network);
}

/// The errors of all three measures are counted in norms, since probes have variance 1. Where a batch norm
/// follows, some gradients are 0 but for rounding.
TEST_P(GoldenNetworks, HaveTheGradientsOfTorchvisions) {
  const Network& expected = GetParam();
  const ModulePtr network = models::make(expected.name, {.classes = 1000});
  fill(*network);
  make_double(*network);
  network->for_each([](const std::string&, Module& module) {
    if (dynamic_cast<Dropout*>(&module) != nullptr) module.eval();
  });
  loss_of(*network, images(expected.side).to(DType::kF64)).backward();
  const Tensor rows = fixture().read(std::string(expected.name) + "/gradients");
  const std::vector<NamedParameter> parameters = sorted_parameters(*network);
  ASSERT_EQ(rows.shape(), (Shape{static_cast<int64_t>(parameters.size()), 3}));
  for (size_t row = 0; row < parameters.size(); ++row) {
    const float* golden = rows.data<float>() + 3 * row;
    const std::array<double, 3> found = measures(parameters[row]);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(found[i], golden[i], kGradientTolerance * golden[0] + kRounding)
          << parameters[row].name << ", measure " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, GoldenNetworks, testing::ValuesIn(kNetworks),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ds
