#include "layers/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/functions.h"
#include "autograd/optim/adam.h"
#include "autograd/optim/sgd.h"
#include "core/ops.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/conv2d.h"
#include "layers/flatten.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "layers/weighted_layer.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::shared_ptr<Sequential> small_net() {
  manual_seed(1);
  return sequential(
      std::make_shared<Conv2d>(1, 4, Conv2dLayerOptions{.kernel = 3, .padding = 1}), std::make_shared<Relu>(),
      std::make_shared<Conv2d>(4, 4, Conv2dLayerOptions{.kernel = 3, .stride = 2, .bias = false}),
      std::make_shared<Relu>(), std::make_shared<Flatten>(), std::make_shared<Linear>(4 * 2 * 2, 3));
}

std::shared_ptr<Linear> linear_of(const std::vector<float>& weights) {
  auto layer = std::make_shared<Linear>(static_cast<int64_t>(weights.size()), 1);
  layer->replace_weight(make_weight({}, numbers(weights, {1, static_cast<int64_t>(weights.size())})));
  return layer;
}

TEST(ConvertToShift, ReportsWhatItDid) {
  const auto net = sequential(linear_of({0.5F, 0.3F, 0.0F, -0.0F, -2.0F}));
  const ConvertReport report = convert_to_shift(*net, {.method = ShiftMethod::kQ, .weight_bits = 4});
  ASSERT_EQ(report.layers.size(), 1U);
  const ConvertedLayer& layer = report.layers[0];
  EXPECT_EQ(layer.path, "0");
  EXPECT_TRUE(layer.converted);
  EXPECT_EQ(layer.weight, "shift-q 4 bits");
  EXPECT_EQ(layer.count, 5);
  EXPECT_EQ(layer.replaced_zeros, 2);
  EXPECT_EQ(layer.rounded.zeros, 0);
  EXPECT_THAT(layer.rounded.exponents, ElementsAre(Pair(-7, 2), Pair(-2, 1), Pair(-1, 1), Pair(0, 1)));
  const double norm = std::sqrt(0.25 + 0.09 + 4.0);
  EXPECT_NEAR(layer.rounding_error, std::sqrt(0.05 * 0.05 + 2 * 0x1p-14 + 1.0) / norm, 1e-6);
  EXPECT_THAT(report.str(), HasSubstr("1 of 1 layers converted"));
}

TEST(ConvertToShift, PsKeepsZeros) {
  const auto net = sequential(linear_of({0.5F, 0.3F, 0.0F, -0.0F, -2.0F}));
  const ConvertReport report = convert_to_shift(*net, {.method = ShiftMethod::kPs, .weight_bits = 4});
  EXPECT_EQ(report.layers[0].rounded.zeros, 2);
  EXPECT_EQ(report.layers[0].replaced_zeros, 0);
  EXPECT_THAT(report.layers[0].rounded.exponents, ElementsAre(Pair(-2, 1), Pair(-1, 1), Pair(0, 1)));
}

TEST(ConvertToShift, TheNetworkThenComputesWithTheRoundedWeights) {
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    for (int bits = 2; bits <= 7; ++bits) {
      const ShiftFormat format{.method = method, .bits = bits};
      const auto plain = small_net();  // its weights replaced by rounded floats
      for (const NamedLayer& named : weighted_layers(*plain)) {
        const Tensor rounded = make_weight(format, named.layer->weight().rounded())->rounded();
        named.layer->replace_weight(make_weight({}, rounded, named.layer->weight().options()));
      }
      const auto shift = small_net();
      EXPECT_EQ(convert_to_shift(*shift, {.method = method, .weight_bits = bits}).converted(), 3);
      const Tensor x = test::counting({1, 6, 6, 1});
      EXPECT_EQ((*shift)(x).value().to_vector<float>(), (*plain)(x).value().to_vector<float>());
    }
  }
}

TEST(ConvertToShift, PredicatesChooseByPathAndDepth) {
  const auto names = [](const ConvertReport& report) {
    std::vector<std::string> all;
    for (const ConvertedLayer& layer : report.layers) all.push_back(layer.path + " " + layer.weight);
    return all;
  };
  auto net = small_net();
  EXPECT_THAT(names(convert_to_shift(*net, {}, all_but_first_and_last(*net))),
              ElementsAre("0 float", "2 shift-q 5 bits", "5 float"));
  net = small_net();
  EXPECT_THAT(names(convert_to_shift(*net, {}, [](const std::string&, int64_t depth) { return depth < 2; })),
              ElementsAre("0 float", "2 shift-q 5 bits", "5 shift-q 5 bits"));
  net = small_net();
  const auto first = [](const std::string& path, int64_t) { return path == "0"; };
  const ConvertReport report = convert_to_shift(*net, {.method = ShiftMethod::kPs}, first);
  EXPECT_THAT(names(report), ElementsAre("0 shift-ps 5 bits", "2 float", "5 float"));
  EXPECT_EQ(report.converted(), 1);
}

TEST(ConvertToShift, GivesLayersOtherBitsByThePathThatFitsBest) {
  const auto net = sequential(sequential(std::make_shared<Linear>(4, 4), std::make_shared<Linear>(4, 4)),
                              std::make_shared<Linear>(4, 4));
  const ConvertReport report =
      convert_to_shift(*net, {.weight_bits = 5, .layer_bits = {{"0", 3}, {"0.1", 2}}});
  std::vector<std::string> weights;
  for (const ConvertedLayer& layer : report.layers) weights.push_back(layer.path + " " + layer.weight);
  EXPECT_THAT(weights, ElementsAre("0.0 shift-q 3 bits", "0.1 shift-q 2 bits", "1 shift-q 5 bits"));
  EXPECT_THAT(error_of([&] {
                convert_to_shift(*small_net(), {.layer_bits = {{"conv", 3}}});
              }),
              HasSubstr("\"conv\""));
  EXPECT_THAT(error_of([&] {
                convert_to_shift(*small_net(), {.layer_offsets = {{"conv", 1}}});
              }),
              HasSubstr("offset is given for \"conv\""));
  EXPECT_THAT(error_of([&] {
                convert_to_shift(*small_net(), {.layer_bits = {{"0", 9}}});
              }),
              HasSubstr("9 weight bits"));
}

TEST(ConvertToShift, GivesLayersTwoTerms) {
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    const auto net = small_net();
    const ConvertReport report =
        convert_to_shift(*net, {.method = method, .weight_bits = 4, .two_term = {"0", "5"}});
    std::vector<std::string> weights;
    for (const ConvertedLayer& layer : report.layers) weights.push_back(layer.weight);
    const std::string kind = fmt::format("shift-{}", name_of(method));
    EXPECT_THAT(weights, ElementsAre(kind + " 2x4 bits", kind + " 4 bits", kind + " 2x4 bits"));
    EXPECT_EQ(report.layers[0].rounded.count, 2 * report.layers[0].count) << "exponents of both terms";
    EXPECT_LT(report.layers[0].rounding_error, 0.5 * report.layers[1].rounding_error);
  }
  const auto refuses = [](const ConvertOptions& options, const char* what) {
    const auto net = small_net();
    EXPECT_THAT(error_of([&] { convert_to_shift(*net, options, all_but_first_and_last(*net)); }),
                HasSubstr(what));
    EXPECT_EQ(weighted_layers(*net)[1].layer->weight().describe(), "float");
  };
  refuses({.two_term = {"0"}}, "two terms are asked for in \"0\", but no layer that is converted is there");
  refuses({.weight_bits = 6, .two_term = {"2"}}, "two terms of 6 bits");
  refuses({.two_term = {"2"}, .rounding = Rounding::kStochastic}, "stochastically");
  refuses({.method = ShiftMethod::kPs, .two_term = {"2"}, .ps_init = PsInit::kRandom}, "random");
}

TEST(ConvertToShift, RefusesWithNothingChanged) {
  const auto net = small_net();
  EXPECT_THAT(error_of([&] { convert_to_shift(*net, {.weight_bits = 8}); }), HasSubstr("8 weight bits"));
  Variable last = weighted_layers(*net)[2].layer->weight().parameters()[0].value;
  last.mutable_value().fill(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(error_of([&] { convert_to_shift(*net, {}); }),
              HasSubstr("layer 5 has a weight that is not finite"));
  last.mutable_value().fill(0.5);
  EXPECT_EQ(
      convert_to_shift(*net, {}, [](const std::string& path, int64_t) { return path == "5"; }).converted(),
      1);
  EXPECT_THAT(error_of([&] { convert_to_shift(*net, {}); }), HasSubstr("layer 5 holds shift-q 5 bits"));
  EXPECT_EQ(weighted_layers(*net)[0].layer->weight().describe(), "float");
}

TEST(ConvertToShift, RandomPsIsThePapers) {
  manual_seed(9);
  const auto net = sequential(std::make_shared<Conv2d>(8, 64, Conv2dLayerOptions{.kernel = 3}),
                              std::make_shared<Linear>(64, 64));
  convert_to_shift(*net, {.method = ShiftMethod::kPs, .weight_bits = 5, .ps_init = PsInit::kRandom});
  const std::vector<NamedParameter> parameters = net->named_parameters();
  const auto check = [&](size_t index, const std::string& name, double low, double high) {
    EXPECT_EQ(parameters[index].name, name);
    const ops::Extremes found = ops::extremes(parameters[index].value.value());
    const double width = high - low;
    EXPECT_GE(found.minimum, low);
    EXPECT_LT(found.minimum, low + 0.02 * width);
    EXPECT_LE(found.maximum, high);
    EXPECT_GT(found.maximum, high - 0.02 * width);
  };
  check(0, "0.shift", -10, -1);
  check(1, "0.sign", -1, 1);
  check(3, "1.shift", -14, 0);
  check(4, "1.sign", -1, 1);
}

TEST(DecayLoss, AddsUpThePsWeights) {
  const auto net = sequential(linear_of({0.5F, 0.25F}), linear_of({1.0F}), linear_of({1.0F}));
  EXPECT_FALSE(decay_loss(*net, 0.1).defined());
  const auto not_last = [](const std::string&, int64_t depth) { return depth != 0; };
  convert_to_shift(*net, {.method = ShiftMethod::kPs}, not_last);
  EXPECT_NEAR(decay_loss(*net, 0.1).item(), 0.05 * (0.25 + 0.0625 + 1.0), 1e-7);
}

/// Loss before and after a few steps on one batch.
struct Losses {
  double before;
  double after;
};

Losses train_small(Module& net, Optimizer& optimizer) {
  Tensor images = Tensor::empty({12, 6, 6, 1});
  fill_uniform(images, -1.0, 1.0, default_generator());
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 12; ++i) labels.push_back(i % 3);
  const Tensor targets = Tensor::from(labels, {12});
  Losses losses{};
  for (int step = 0; step < 80; ++step) {
    const Variable loss = cross_entropy(net(images), targets);
    if (step == 0) losses.before = loss.item();
    losses.after = loss.item();
    const Variable decay = decay_loss(net, 1e-4);
    optimizer.zero_grad();
    (decay.defined() ? loss + decay : loss).backward();
    optimizer.step();
  }
  return losses;
}

TEST(Training, EveryMethodLearns) {
  const auto expect_learns = [](Module& net, Optimizer& optimizer) {
    const Losses losses = train_small(net, optimizer);
    EXPECT_LT(losses.after, 0.5 * losses.before) << optimizer.describe();
  };
  auto net = small_net();
  Sgd sgd(net->parameters(), {.lr = 0.2, .momentum = 0.9});
  expect_learns(*net, sgd);
  net = small_net();
  convert_to_shift(*net, {.method = ShiftMethod::kQ, .weight_bits = 5});
  Sgd sgd_of_q(net->parameters(), {.lr = 0.2, .momentum = 0.9});
  expect_learns(*net, sgd_of_q);
  for (const PsInit init : {PsInit::kConverted, PsInit::kRandom}) {
    net = small_net();
    convert_to_shift(*net, {.method = ShiftMethod::kPs, .weight_bits = 5, .ps_init = init});
    Adam adam(net->parameters(), {.lr = 0.05});
    expect_learns(*net, adam);
  }
  net = small_net();
  convert_to_shift(*net, {.method = ShiftMethod::kQ, .weight_bits = 3, .two_term = {"0", "5"}});
  Sgd sgd_of_two_terms(net->parameters(), {.lr = 0.2, .momentum = 0.9});
  expect_learns(*net, sgd_of_two_terms);
  for (const NamedLayer& named : weighted_layers(*net)) {
    EXPECT_NO_THROW(
        pack(named.layer->weight().rounded().to_vector<float>(), *named.layer->weight().format()));
  }
}

TEST(CountExponents, DrawsBarsAndRefusesOtherNumbers) {
  const ExponentCounts counts = count_exponents(numbers({0.5F, -0.5F, 1.0F, 0.0F}, {4}), {});
  EXPECT_EQ(counts.count, 4);
  EXPECT_EQ(counts.zeros, 1);
  const std::string bar(40, '#');
  const std::string half = std::string(20, '#') + std::string(20, ' ');
  EXPECT_EQ(counts.str(), "    2^0 |" + half + "|  25.0 %\n   2^-1 |" + bar + "|  50.0 %\n      0 |" + half +
                              "|  25.0 %\n");
  EXPECT_THAT(error_of([] { count_exponents(numbers({0.75F}, {1}), {}); }), HasSubstr("weight 0.75 found"));
}

}  // namespace
}  // namespace ds
