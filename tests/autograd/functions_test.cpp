// Every differentiable function: against PyTorch (tests/fixtures/make_fixtures.py) and against numeric
// gradients.
#include "autograd/functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "autograd/grad_check.h"
#include "core/shift/codes.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Inputs = std::vector<Variable>;

const SafetensorsFile& fixtures() {
  static const SafetensorsFile file(fixture("functions.safetensors"));
  return file;
}

/// Tensors of one case; floats as the type that is asked for.
class Golden {
 public:
  Golden(std::string name, DType dtype) : name_(std::move(name)), dtype_(dtype) {}

  bool contains(const std::string& key) const { return fixtures().contains(name_ + "/" + key); }
  Tensor get(const std::string& key) const {
    const Tensor stored = fixtures().read(name_ + "/" + key);
    return is_float(stored.dtype()) ? stored.to(dtype_) : stored;
  }
  Inputs inputs() const {
    Inputs result;
    for (int i = 0; contains(fmt::format("x{}", i)); ++i) {
      result.emplace_back(get(fmt::format("x{}", i)), true);
    }
    return result;
  }

 private:
  std::string name_;
  DType dtype_;
};

using Call = std::function<Variable(const Inputs&, const Golden&)>;

/// One row a case of the fixtures: the call, and whether its gradient is the derivative.
struct Case {
  std::string name;
  Call call;
  bool straight_through = false;

  friend void PrintTo(const Case& row, std::ostream* stream) { *stream << row.name; }
};

Variable batch_norm_case(const Inputs& in, const Golden& golden, bool training) {
  Tensor mean = training ? Tensor::zeros(in[1].shape(), in[1].dtype()) : golden.get("mean");
  Tensor variance = training ? Tensor::full(in[1].shape(), 1.0, in[1].dtype()) : golden.get("variance");
  return batch_norm(in[0], in[1], in[2], mean, variance, {.training = training});
}

/// With a fourth input, that is the shortcut.
Variable batch_norm_relu_case(const Inputs& in, const Golden& golden, bool training) {
  Tensor mean = training ? Tensor::zeros(in[1].shape(), in[1].dtype()) : golden.get("mean");
  Tensor variance = training ? Tensor::full(in[1].shape(), 1.0, in[1].dtype()) : golden.get("variance");
  return batch_norm_relu(in[0], in[1], in[2], mean, variance, in.size() > 3 ? in[3] : Variable(),
                         {.training = training});
}

Call maxima(const Pool2dOptions& options) {
  return [options](const Inputs& in, const Golden&) { return max_pool2d(in[0], options); };
}
Call averages(const Pool2dOptions& options) {
  return [options](const Inputs& in, const Golden&) { return avg_pool2d(in[0], options); };
}

Call adaptive_averages(Size2d size) {
  return [size](const Inputs& in, const Golden&) { return adaptive_avg_pool2d(in[0], size); };
}

ShiftRoundingOptions to_range(ShiftRange range) { return {.range = range}; }

std::vector<Case> make_cases() {
  std::vector<Case> cases = {
      {"add", [](const Inputs& in, const Golden&) { return in[0] + in[1]; }},
      {"subtract", [](const Inputs& in, const Golden&) { return in[0] - in[1]; }},
      {"multiply", [](const Inputs& in, const Golden&) { return in[0] * in[1]; }},
      {"divide", [](const Inputs& in, const Golden&) { return in[0] / in[1]; }},
      {"affine",
       [](const Inputs& in, const Golden&) { return affine(in[0], {.scale = 1.5, .shift = -0.25}); }},
      {"relu", [](const Inputs& in, const Golden&) { return relu(in[0]); }},
      {"relu6", [](const Inputs& in, const Golden&) { return relu6(in[0]); }},
      {"sum", [](const Inputs& in, const Golden&) { return sum(in[0]); }},
      {"mean", [](const Inputs& in, const Golden&) { return mean(in[0]); }},
      {"matmul", [](const Inputs& in, const Golden&) { return matmul(in[0], in[1]); }},
      {"linear", [](const Inputs& in, const Golden&) { return linear(in[0], in[1], in[2]); }},
      {"linear_no_bias", [](const Inputs& in, const Golden&) { return linear(in[0], in[1], {}); }},
      {"conv2d", [](const Inputs& in, const Golden&) { return conv2d(in[0], in[1], in[2], {.padding = 1}); }},
      {"conv2d_no_bias", [](const Inputs& in, const Golden&) { return conv2d(in[0], in[1], {}); }},
      {"conv2d_stride",
       [](const Inputs& in, const Golden&) {
         return conv2d(in[0], in[1], in[2], {.stride = {2, 3}, .padding = {1, 0}});
       }},
      {"conv2d_dilation",
       [](const Inputs& in, const Golden&) {
         return conv2d(in[0], in[1], in[2], {.padding = 2, .dilation = 2});
       }},
      {"conv2d_groups",
       [](const Inputs& in, const Golden&) {
         return conv2d(in[0], in[1], in[2], {.padding = 1, .groups = 2});
       }},
      {"conv2d_depthwise",
       [](const Inputs& in, const Golden&) {
         return conv2d(in[0], in[1], in[2], {.stride = 2, .padding = 1, .groups = 8});
       }},
      {"max_pool2d", maxima({.kernel = 3, .stride = 2, .padding = 1})},
      {"max_pool2d_ceil", maxima({.kernel = 3, .stride = 2, .ceil_mode = true})},
      {"max_pool2d_ceil_padded", maxima({.kernel = 2, .stride = 3, .padding = 1, .ceil_mode = true})},
      {"avg_pool2d", averages({.kernel = 3, .stride = 2, .padding = 1})},
      {"avg_pool2d_inside",
       averages({.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .count_include_pad = false})},
      {"avg_pool2d_ceil", averages({.kernel = 3, .stride = {2, 3}, .padding = 1, .ceil_mode = true})},
      {"avg_pool2d_ceil_inside",
       averages({.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false, .ceil_mode = true})},
      {"adaptive_avg_pool2d_3x5", adaptive_averages({3, 5})},
      {"adaptive_avg_pool2d_7x4", adaptive_averages({7, 4})},
      {"adaptive_avg_pool2d_5x4", adaptive_averages({5, 4})},
      {"adaptive_avg_pool2d_5x8", adaptive_averages({5, 8})},
      {"global_avg_pool2d", [](const Inputs& in, const Golden&) { return global_avg_pool2d(in[0]); }},
      {"subsample2d", [](const Inputs& in, const Golden&) { return subsample2d(in[0], Size2d(2, 3)); }},
      {"reshape",
       [](const Inputs& in, const Golden&) {
         return reshape(in[0], {3, 4});
       }},
      {"flatten", [](const Inputs& in, const Golden&) { return flatten(in[0]); }},
      {"concat", [](const Inputs& in, const Golden&) { return concat(in); }},
      {"pad_channels",
       [](const Inputs& in, const Golden&) { return pad_channels(in[0], {.before = 2, .after = 3}); }},
      {"batch_norm_training",
       [](const Inputs& in, const Golden& golden) { return batch_norm_case(in, golden, true); }},
      {"batch_norm_evaluation",
       [](const Inputs& in, const Golden& golden) { return batch_norm_case(in, golden, false); }},
      {"batch_norm_relu_training",
       [](const Inputs& in, const Golden& golden) { return batch_norm_relu_case(in, golden, true); }},
      {"batch_norm_relu_shortcut",
       [](const Inputs& in, const Golden& golden) { return batch_norm_relu_case(in, golden, true); }},
      {"batch_norm_relu_evaluation",
       [](const Inputs& in, const Golden& golden) { return batch_norm_relu_case(in, golden, false); }},
      {"cross_entropy",
       [](const Inputs& in, const Golden& golden) { return cross_entropy(in[0], golden.get("targets")); }},
      {"cross_entropy_smoothing",
       [](const Inputs& in, const Golden& golden) {
         return cross_entropy(in[0], golden.get("targets"), {.label_smoothing = 0.1});
       }},
      {"cross_entropy_soft",
       [](const Inputs& in, const Golden& golden) { return cross_entropy(in[0], golden.get("targets")); }},
      {"fixed_point",
       [](const Inputs& in, const Golden&) {
         return fixed_point(in[0], {.fraction_bits = 4, .low = -128, .high = 127});
       },
       true},
      {"fixed_point_floor",
       [](const Inputs& in, const Golden&) {
         return fixed_point(in[0],
                            {.fraction_bits = 4, .low = -128, .high = 127, .rounding = Rounding::kFloor});
       },
       true},
      {"sum_pow4", [](const Inputs& in, const Golden&) { return sum_pow4(in[0]); }},
  };
  for (int bits = kMinWeightBits; bits <= kMaxWeightBits; ++bits) {
    cases.push_back(
        {fmt::format("shift_q_{}", bits),
         [bits](const Inputs& in, const Golden&) { return shift_q(in[0], to_range(shift_q_range(bits))); },
         true});
    cases.push_back({fmt::format("shift_ps_{}", bits),
                     [bits](const Inputs& in, const Golden&) {
                       return shift_ps(in[0], in[1], to_range(shift_ps_range(bits)));
                     },
                     true});
  }
  for (int bits = kMinWeightBits; bits <= kMaxPackedBits; ++bits) {
    for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
      const ShiftFormat format{.method = method, .bits = bits, .terms = 2};
      cases.push_back({fmt::format("two_term_{}{}", name_of(method), bits),
                       [format](const Inputs& in, const Golden&) { return two_term(in[0], format); }, true});
    }
  }
  return cases;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = make_cases();
  return all;
}

std::vector<Case> differentiable_cases() {
  std::vector<Case> result;
  for (const Case& row : cases()) {
    if (!row.straight_through) result.push_back(row);
  }
  return result;
}

class GoldenFunctions : public testing::TestWithParam<Case> {};
class DifferentiableFunctions : public testing::TestWithParam<Case> {};

TEST_P(GoldenFunctions, AgreeWithPyTorch) {
  constexpr double kTolerance = 1e-5;
  const Golden golden(GetParam().name, DType::kF32);
  const Inputs inputs = golden.inputs();
  ASSERT_FALSE(inputs.empty());
  const Variable y = GetParam().call(inputs, golden);
  const Tensor expected = golden.get("y");
  ASSERT_EQ(y.shape().numel(), expected.shape().numel());
  EXPECT_LE(relative_error(y.value(), expected), kTolerance);
  sum(y * golden.get("dy").reshape(y.shape())).backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor gradient = golden.get(fmt::format("dx{}", i));
    ASSERT_EQ(inputs[i].grad().shape(), gradient.shape());
    EXPECT_LE(relative_error(inputs[i].grad(), gradient), kTolerance) << "gradient of input " << i;
  }
}

TEST_P(DifferentiableFunctions, AgreeWithNumericGradients) {
  const Golden golden(GetParam().name, DType::kF64);
  const GradCheckResult result =
      grad_check([&](const Inputs& in) { return GetParam().call(in, golden); }, golden.inputs());
  EXPECT_TRUE(result.passed) << result.message;
}

constexpr auto kCaseName = [](const auto& info) { return info.param.name; };
INSTANTIATE_TEST_SUITE_P(, GoldenFunctions, testing::ValuesIn(cases()), kCaseName);
INSTANTIATE_TEST_SUITE_P(, DifferentiableFunctions, testing::ValuesIn(differentiable_cases()), kCaseName);

// A function of the header without a case, or a fixture that nothing reads, is a failure that names it.
TEST(FunctionCases, AreComplete) {
  std::set<std::string> names;
  for (const Case& row : cases()) names.insert(row.name);
  for (const std::string& key : fixtures().names()) {
    const std::string name = key.substr(0, key.find('/'));
    EXPECT_TRUE(names.contains(name) || name == "statistics") << "fixture " << name << " has no case";
  }
  std::ifstream header(std::string(DEEPSHIFT_TESTS_DIR) + "/../autograd/functions.h");
  ASSERT_TRUE(header.is_open());
  constexpr std::string_view kDeclaration = "Variable ";
  int functions = 0;
  for (std::string line; std::getline(header, line);) {
    const size_t end = line.find('(');
    if (!line.starts_with(kDeclaration) || end == std::string::npos) continue;
    ++functions;
    const std::string name = line.substr(kDeclaration.size(), end - kDeclaration.size());
    const bool found = name == "dropout" || names.contains(name) ||
                       (names.lower_bound(name + "_") != names.end() &&
                        names.lower_bound(name + "_")->starts_with(name + "_"));
    EXPECT_TRUE(found) << name << " has no case";
  }
  EXPECT_GT(functions, 20);
}

TEST(BatchNorm, RunningStatisticsFollowPyTorch) {
  const Golden golden("statistics", DType::kF32);
  const Variable gamma(Tensor::full({3}, 1.0));
  const Variable beta(Tensor::zeros({3}));
  Tensor mean = Tensor::zeros({3});
  Tensor variance = Tensor::full({3}, 1.0);
  for (int step = 0; step < 3; ++step) {
    batch_norm(golden.get(fmt::format("x{}", step)), gamma, beta, mean, variance,
               {.training = true, .momentum = 0.2});
    EXPECT_LE(relative_error(mean, golden.get(fmt::format("mean{}", step))), 1e-5) << step;
    EXPECT_LE(relative_error(variance, golden.get(fmt::format("variance{}", step))), 1e-5) << step;
  }
}

TEST(BatchNorm, RejectsWhatDoesNotFit) {
  const Variable gamma(Tensor::full({3}, 1.0), true);
  Tensor mean = Tensor::zeros({3});
  Tensor variance = Tensor::full({3}, 1.0);
  EXPECT_THAT(error_of([&] {
                batch_norm(uniform({1, 3}, 1), gamma, gamma, mean, variance, {.training = true});
              }),
              HasSubstr("1 value per channel, expected more than one"));
  EXPECT_NO_THROW(batch_norm(uniform({1, 3}, 1), gamma, gamma, mean, variance, {}));
  EXPECT_THAT(error_of([&] {
                batch_norm(uniform({2, 4}, 1), gamma, gamma, mean, variance, {});
              }),
              HasSubstr("gamma has shape [3], expected [4]"));
}

TEST(BatchNorm, ACallThatIsRefusedLeavesTheRunningStatistics) {
  const Variable gamma(Tensor::full({3}, 1.0), true);
  Tensor mean = Tensor::zeros({3});
  Tensor variance = Tensor::full({3}, 1.0);
  EXPECT_THROW(batch_norm_relu(uniform({4, 3}, 1), gamma, gamma, mean, variance, uniform({4, 1}, 2),
                               {.training = true}),
               Error);
  EXPECT_EQ(mean.to_vector<float>(), std::vector<float>(3, 0.0F));
  EXPECT_EQ(variance.to_vector<float>(), std::vector<float>(3, 1.0F));
}

TEST(Pooling, HasTheStrideOfItsKernelWhereNoneIsGiven) {
  const Variable x(uniform({1, 8, 6, 2}, 1), true);
  for (const auto& pool : {max_pool2d, avg_pool2d}) {
    const Variable y = pool(x, {.kernel = {4, 2}});
    EXPECT_EQ(y.shape(), Shape({1, 2, 3, 2}));
    sum(y).backward();
    EXPECT_EQ(pool(x, {.kernel = 2, .stride = 1}).shape(), Shape({1, 7, 5, 2}));
  }
  EXPECT_THROW(subsample2d(x, 0), Error);  // it has no kernel to take one from
}

// A backward pass in evaluation uses the statistics of its forward pass, whatever was trained in between.
TEST(BatchNorm, EvaluationKeepsItsOwnStatistics) {
  const Variable x(Tensor::full({4, 3}, 5.0), true);
  const Variable gamma(Tensor::full({3}, 1.0), true);
  const Variable beta(Tensor::zeros({3}));
  Tensor mean = Tensor::full({3}, 1.0);
  Tensor variance = Tensor::full({3}, 3.0);
  const Variable y = sum(batch_norm(x, gamma, beta, mean, variance, {.eps = 1.0}));
  batch_norm(uniform({4, 3}, 1), gamma, beta, mean, variance, {.training = true, .momentum = 1.0});
  y.backward();
  EXPECT_LE(relative_error(x.grad(), Tensor::full({4, 3}, 0.5)), 1e-6);
  EXPECT_LE(relative_error(gamma.grad(), Tensor::full({3}, 4 * (5.0 - 1.0) / 2.0)), 1e-6);
}

// Stochastic rounding changes the forward pass only; its gradients are those of rounding to nearest.
TEST(ShiftFunctions, StochasticRoundingHasTheSameRule) {
  const ShiftRoundingOptions options{
      .range = shift_ps_range(4), .rounding = Rounding::kStochastic, .random = {.seed = 1}};
  const Variable w = leaf({0.3F, -0.7F, 0.9F});
  const Variable g(vector_of({1, 2, 3}));
  sum(shift_q(w, options) * g).backward();
  EXPECT_THAT(w.grad().to_vector<float>(), ElementsAre(1, 2, 3));

  const Variable p = leaf({-1.5F, -2.2F, -3.9F});
  const Variable s = leaf({1, -1, 0.2F});
  const Variable y = shift_ps(p, s, options);
  sum(y * g).backward();
  EXPECT_THAT(s.grad().to_vector<float>(), ElementsAre(1, 2, 3));
  const auto weights = y.value().to_vector<float>();
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_FLOAT_EQ(p.grad().to_vector<float>()[i],
                    static_cast<float>(i + 1) * weights[i] * static_cast<float>(std::log(2.0)));
  }
  EXPECT_EQ(p.grad().to_vector<float>()[2], 0.0F) << "no gradient where the sign is 0";
}

TEST(FunctionErrors, NameTheFunctionAndTheShapes) {
  const Variable a(uniform({2, 3}, 1));
  const Variable b(uniform({4, 5}, 1));
  const Variable image(uniform({1, 4, 4, 3}, 1));
  EXPECT_THAT(error_of([&] { matmul(a, b); }), HasSubstr("[matmul] [2, 3] times [4, 5]"));
  EXPECT_THAT(error_of([&] { linear(a, b, {}); }), HasSubstr("[linear] input [2, 3] with weight [4, 5]"));
  EXPECT_THAT(error_of([&] {
                linear(a, uniform({4, 3}, 1), uniform({5}, 1));
              }),
              HasSubstr("[5], expected [4]"));
  EXPECT_THAT(error_of([&] { add(a, b); }), HasSubstr("[2, 3]"));
  EXPECT_THAT(error_of([&] { conv2d(image, uniform({2, 3, 3, 4}, 1), {}); }), HasSubstr("conv2d"));
  EXPECT_THAT(error_of([&] { max_pool2d(a, {.kernel = 2}); }), HasSubstr("expected N,H,W,C"));
  EXPECT_THAT(error_of([&] { global_avg_pool2d(a); }), HasSubstr("[global_avg_pool2d]"));
  EXPECT_THAT(error_of([&] { adaptive_avg_pool2d(image, {0, 2}); }), HasSubstr("output of 0 x 2, expected"));
  EXPECT_THAT(error_of([&] { concat({a, b}); }), HasSubstr("part 1 has shape [4, 5]"));
  EXPECT_THAT(error_of([] { concat({}); }), HasSubstr("no parts"));
  EXPECT_THAT(error_of([&] { pad_channels(a, {.before = -1}); }), HasSubstr("-1 channels before"));
  EXPECT_THAT(error_of([&] { reshape(a, {7}); }), HasSubstr("6 elements"));
}

TEST(CrossEntropy, RejectsTargetsThatDoNotFit) {
  const Variable logits(uniform({2, 3}, 1));
  const auto labels = [](std::vector<int64_t> values) {
    return Tensor::from(values, {static_cast<int64_t>(values.size())});
  };
  EXPECT_THAT(error_of([&] { cross_entropy(logits, labels({0, 1, 2})); }), HasSubstr("[3], expected [2]"));
  EXPECT_THAT(error_of([&] { cross_entropy(logits, labels({0, 3})); }), HasSubstr("3"));
  EXPECT_THAT(error_of([&] { cross_entropy(logits, labels({-1, 0})); }), HasSubstr("-1"));
  EXPECT_THAT(error_of([&] {
                cross_entropy(logits, uniform({2, 4}, 1));
              }),
              HasSubstr("probabilities [2, 3]"));
  EXPECT_THAT(error_of([&] {
                cross_entropy(logits, uniform({2, 3}, 1), {.label_smoothing = 0.1});
              }),
              HasSubstr("expected labels"));
  EXPECT_THAT(error_of([&] {
                cross_entropy(logits, labels({0, 1}), {.label_smoothing = 1.0});
              }),
              HasSubstr("0 <= s < 1"));
}

}  // namespace
}  // namespace ds::test
