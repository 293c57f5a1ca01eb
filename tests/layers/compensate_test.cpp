#include "layers/compensate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/linear_algebra.h"
#include "core/ops.h"
#include "core/parallel.h"
#include "layers/compensation/moments.h"
#include "layers/compensation/rounding.h"
#include "layers/compensation/vectors.h"
#include "layers/weighted_layer.h"
#include "tests/layers/compensate_support.h"
#include "tests/layers/support.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::all_values;
using test::error_of;
using test::mixed_net;
using test::normal;
using test::output_error;
using testing::HasSubstr;

/// Symmetric, positive definite, with strong correlations.
std::vector<double> random_moments(int64_t n, uint64_t seed) {
  const std::vector<float> rows = normal({2 * n, n}, seed).to_vector<float>();
  std::vector<double> moments(at(n * n));
  for (int64_t r = 0; r < 2 * n; ++r) {
    double sum = 0.0;
    std::vector<double> x(at(n));
    for (int64_t i = 0; i < n; ++i) x[at(i)] = sum = 0.8 * sum + static_cast<double>(rows[at(r * n + i)]);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j)
        moments[at(i * n + j)] += x[at(i)] * x[at(j)] / static_cast<double>(2 * n);
    }
  }
  for (int64_t i = 0; i < n; ++i) moments[at(i * n + i)] += 0.01;
  return moments;
}

double cost(const std::vector<double>& q, const std::vector<double>& w, const std::vector<double>& moments) {
  const auto n = static_cast<int64_t>(w.size());
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      sum += (q[at(i)] - w[at(i)]) * moments[at(i * n + j)] * (q[at(j)] - w[at(j)]);
    }
  }
  return sum;
}

TEST(InverseCholesky, SolvesAndInverts) {
  const auto inverse = inverse_cholesky({4.0, 2.0, 2.0, 3.0}, 2);  // L = 2 0; 1 sqrt 2
  ASSERT_TRUE(inverse.has_value());
  EXPECT_NEAR((*inverse)[0], 0.5, 1e-12);
  EXPECT_EQ((*inverse)[1], 0.0);
  EXPECT_NEAR((*inverse)[2], -0.5 / std::sqrt(2.0), 1e-12);
  EXPECT_NEAR((*inverse)[3], 1.0 / std::sqrt(2.0), 1e-12);
  std::vector<double> rows = {8.0, 7.0, 4.0, 2.0};
  solve_rows(*inverse, rows.data(), 2);
  EXPECT_NEAR(rows[0], 1.25, 1e-12);
  EXPECT_NEAR(rows[1], 1.5, 1e-12);
  EXPECT_NEAR(rows[2], 1.0, 1e-12);
  EXPECT_NEAR(rows[3], 0.0, 1e-12);
  EXPECT_FALSE(inverse_cholesky({1.0, 2.0, 2.0, 1.0}, 2).has_value());
}

/// Levels of the format; a cost below that of rounding one by one; and no single weight that would lower it.
TEST(CompensatedRounding, EndsWhereNoWeightCanBeMoved) {
  constexpr int64_t kDepth = 12;
  for (const int terms : {1, 2}) {
    for (const int bits : {2, 3, 4, 5}) {
      for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
        const Levels grid({.method = method, .bits = bits, .terms = terms});
        const std::vector<double> moments = random_moments(kDepth, 7);
        const std::vector<float> values = normal({kDepth}, static_cast<uint64_t>(bits)).to_vector<float>();
        std::vector<double> w(values.begin(), values.end());
        for (double& each : w) each *= 0.3;
        const std::vector<double> q = CompensatedRounding::make(moments, 0.0, kDepth)->round(w, grid, 100);
        std::vector<double> plain;
        for (const double each : w) plain.push_back(grid.nearest(each));
        EXPECT_LE(cost(q, w, moments), cost(plain, w, moments) * 1.0001);
        for (int64_t i = 0; i < kDepth; ++i) {
          EXPECT_EQ(grid.nearest(q[at(i)]), q[at(i)]);
          for (const double magnitude : grid.magnitudes()) {
            for (const double level : {magnitude, -magnitude}) {
              std::vector<double> other = q;
              other[at(i)] = level;
              EXPECT_GE(cost(other, w, moments), cost(q, w, moments) - 1e-12)
                  << terms << "x" << bits << " " << i << " " << level;
            }
          }
        }
      }
    }
  }
}

TEST(CompensatedRounding, SolvesInTheOrderOfItsInputs) {
  constexpr int64_t kDepth = 12;
  const std::vector<double> moments = random_moments(kDepth, 7);
  const auto rounding = CompensatedRounding::make(moments, 0.5, kDepth);
  ASSERT_TRUE(rounding.has_value());
  const std::vector<double> b = doubles(normal({3 * kDepth}, 1));
  std::vector<double> w = b;
  rounding->solve(w);
  for (int64_t row = 0; row < 3 * kDepth; row += kDepth) {
    for (int64_t i = 0; i < kDepth; ++i) {
      double product = 0.5 * w[at(row + i)];
      for (int64_t j = 0; j < kDepth; ++j) product += moments[at(i * kDepth + j)] * w[at(row + j)];
      EXPECT_NEAR(product, b[at(row + i)], 1e-9);
    }
  }
}

TEST(CompensatedRounding, IsNotToBeHadOfSingularMoments) {
  EXPECT_FALSE(CompensatedRounding::make({1.0, 1.0, 1.0, 1.0}, 0.0, 2).has_value());
  EXPECT_TRUE(CompensatedRounding::make({1.0, 1.0, 1.0, 1.0}, 0.1, 2).has_value());
}

/// Against the layer itself: errors of the outputs are what the moments say.
TEST(Moments, GiveTheErrorsOfAGroupedConvolution) {
  const Conv2dOptions options{.stride = 2, .padding = 1, .groups = 2};
  const Tensor x = normal({3, 7, 6, 4}, 1);
  const Tensor w = normal({6, 3, 2, 2}, 2);
  const Tensor other = normal({6, 3, 2, 2}, 3);
  const Tensor y = ops::conv2d(x, w, {}, options);
  MomentSums sums(w.shape(), options);
  sums.add(x.slice(0, 2), y.slice(0, 2));
  sums.add(x.slice(2, 3), y.slice(2, 3));
  const std::vector<GroupMoments> moments = std::move(sums).moments();
  ASSERT_EQ(moments.size(), 2U);
  const std::vector<float> difference =
      ops::arithmetic(Arithmetic::kSubtract, y, ops::conv2d(x, other, {}, options)).to_vector<float>();
  const std::vector<double> filters = other.to(DType::kF64).to_vector<double>();
  for (size_t g = 0; g < 2; ++g) {
    const std::vector<double> own(filters.begin() + static_cast<int64_t>(g * 36),
                                  filters.begin() + static_cast<int64_t>((g + 1) * 36));
    const std::vector<double> errors = moments[g].errors(own, moments[g].squares(own));
    for (size_t o = 0; o < 3; ++o) {
      double expected = 0.0;
      for (size_t i = g * 3 + o; i < difference.size(); i += 6) {
        expected += static_cast<double>(difference[i]) * static_cast<double>(difference[i]);
      }
      EXPECT_NEAR(errors[o], expected / static_cast<double>(difference.size() / 6), 1e-3);
    }
  }
}

TEST(Compensate, ChangesTheOutputsLessThanRounding) {
  const Tensor images = normal({64, 10, 10, 3}, 5);
  const Tensor unseen = normal({32, 10, 10, 3}, 6);
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    for (const int bits : {2, 3, 4, 5}) {
      const ConvertOptions conversion{.method = method, .weight_bits = bits};
      auto plain = mixed_net();
      auto compensated = mixed_net();
      const Tensor expected = (*plain)(unseen).value();
      convert_to_shift(*plain, conversion);
      const CompensateReport report = compensate(*compensated, images, {.conversion = conversion});
      EXPECT_LT(output_error(*compensated, unseen, expected), 0.8 * output_error(*plain, unseen, expected))
          << name_of(method) << " " << bits;
      EXPECT_EQ(report.conversion.converted(), 4);
      ASSERT_EQ(report.layers.size(), 4U);
      for (const CompensatedLayer& layer : report.layers)
        EXPECT_LE(layer.error, layer.plain_error * 1.01) << layer.path;
      for (const NamedLayer& layer : weighted_layers(*compensated)) {
        ASSERT_TRUE(layer.layer->weight().format().has_value());
        EXPECT_EQ(layer.layer->weight().format()->bits, bits);
      }
    }
  }
}

/// Each of the ends loses less, and the network's outputs do.
TEST(Compensate, GivesTheEndsTwoTerms) {
  const Tensor images = normal({64, 10, 10, 3}, 5);
  const Tensor unseen = normal({32, 10, 10, 3}, 6);
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    for (const int bits : {3, 4}) {
      ConvertOptions conversion{.method = method, .weight_bits = bits};
      auto one = mixed_net();
      auto two = mixed_net();
      const Tensor expected = (*one)(unseen).value();
      const CompensateReport of_one = compensate(*one, images, {.conversion = conversion});
      const std::string first = weighted_layers(*two).front().path;
      const std::string last = weighted_layers(*two).back().path;
      conversion.two_term = {first, last};
      const CompensateReport of_two = compensate(*two, images, {.conversion = conversion});
      EXPECT_LT(of_two.layers.front().error, 0.7 * of_one.layers.front().error);
      EXPECT_LT(of_two.layers.back().error, of_one.layers.back().error);
      EXPECT_LT(output_error(*two, unseen, expected), output_error(*one, unseen, expected))
          << name_of(method) << " " << bits;
      for (const NamedLayer& named : weighted_layers(*two)) {
        EXPECT_EQ(named.layer->weight().format()->terms, named.path == first || named.path == last ? 2 : 1);
      }
    }
  }
}

TEST(Compensate, GivesTheSameBitsForAnyThreads) {
  const Tensor images = normal({40, 10, 10, 3}, 5);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2}) {
    const test::ScopedThreads scope(threads);
    auto net = mixed_net();
    compensate(*net, images, {.conversion = {.weight_bits = 3}});
    results.push_back(all_values(*net));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Compensate, KeepsWhatThePredicateRefuses) {
  auto net = mixed_net();
  const Tensor images = normal({16, 10, 10, 3}, 5);
  const CompensateReport report = compensate(*net, images, {}, all_but_first_and_last(*net));
  EXPECT_EQ(report.conversion.converted(), 2);
  EXPECT_EQ(report.layers.size(), 2U);
  EXPECT_FALSE(weighted_layers(*net).front().layer->weight().format().has_value());
}

TEST(Compensate, RefusesWithNothingChanged) {
  auto net = mixed_net();
  const std::vector<float> before = all_values(*net);
  const auto refuses = [&](const Tensor& images, const CompensateOptions& options, const char* what) {
    EXPECT_THAT(error_of([&] { compensate(*net, images, options); }), HasSubstr(what));
    EXPECT_EQ(all_values(*net), before);
  };
  const Tensor images = normal({4, 10, 10, 3}, 5);
  refuses(Tensor(), {}, "missing");
  refuses(normal({4, 300}, 5), {}, "expected f32 [N,H,W,C]");
  refuses(images, {.conversion = {.weight_bits = 9}}, "9 weight bits");
  refuses(images, {.compensation = {.damping = 0.0}}, "damping is 0");
  refuses(images, {.conversion = {.method = ShiftMethod::kPs, .ps_init = PsInit::kRandom}}, "random");
  refuses(Tensor::full({4, 10, 10, 3}, std::nan("")), {}, "not finite");
}

/// Biases are recorded rounded then.
TEST(Compensate, TakesRoundedActivations) {
  auto net = mixed_net();
  for (const NamedLayer& layer : weighted_layers(*net)) {
    layer.layer->quantize_activations(ActivationQuantOptions{.format = parse_activation_format("16.16")});
  }
  const Tensor images = normal({32, 10, 10, 3}, 5);
  const Tensor expected = (*net)(images).value();
  compensate(*net, images, {.conversion = {.weight_bits = 4}});
  EXPECT_LT(output_error(*net, images, expected), 0.3);
}

/// Filters that were fitted to rounded values lose less with them than others do.
TEST(Compensate, FitsWeightsToTheRoundingOfActivations) {
  const auto make = [] {
    manual_seed(6);
    auto net = sequential(test::convolution(3, 12, false), std::make_shared<BatchNorm2d>(12),
                          std::make_shared<Relu>(), test::convolution(12, 12, false),
                          std::make_shared<BatchNorm2d>(12), std::make_shared<Relu>(),
                          test::convolution(12, 12, false));
    net->train();
    for (uint64_t i = 0; i < 5; ++i) (*net)(normal({16, 10, 10, 3}, 100 + i));
    net->eval();
    return net;
  };
  const Tensor images = normal({64, 10, 10, 3}, 5);
  const Tensor unseen = normal({64, 10, 10, 3}, 6);
  const ActivationFormat format = parse_activation_format("3.1");
  std::vector<double> errors;
  for (const bool told : {false, true}) {
    auto net = make();
    const Tensor expected = (*net)(unseen).value();
    CompensateOptions options{.conversion = {.weight_bits = 4}};
    if (told) options.activations = format;
    compensate(*net, images, options);
    const std::vector<NamedLayer> layers = weighted_layers(*net);
    for (size_t i = 1; i < layers.size(); ++i) {  // the images are not rounded
      layers[i].layer->quantize_activations(ActivationQuantOptions{.format = format});
    }
    errors.push_back(output_error(*net, unseen, expected));
  }
  EXPECT_LT(errors[1], 0.97 * errors[0]);
}

TEST(Compensate, RefusesActivationsThatCannotBeRounded) {
  auto net = mixed_net();
  const Tensor images = normal({4, 10, 10, 3}, 5);
  EXPECT_THAT(error_of([&] { compensate(*net, images, {.activations = ActivationFormat{.bits = 1}}); }),
              HasSubstr("1 bits"));
  quantize_activations(*net, ActivationQuantOptions{});
  EXPECT_THAT(error_of([&] { compensate(*net, images, {.activations = ActivationFormat{}}); }),
              HasSubstr("the network itself rounds them to 16.16"));
}

/// A filter of zeros, which Q cannot hold: what it gives instead must not be made large by the norm.
TEST(Compensate, KeepsADeadFilterDead) {
  auto net = mixed_net();
  Variable weight = net->named_parameters().front().value;
  auto values = weight.mutable_value().span<float>();
  std::fill(values.begin(), values.begin() + 27, 0.0F);
  for (const NamedBuffer& buffer : net->named_buffers()) {
    if (buffer.name == "1.running_mean" || buffer.name == "1.running_var")
      buffer.value->span<float>()[0] = 0.0F;
  }
  const Tensor images = normal({32, 10, 10, 3}, 5);
  const Tensor expected = (*net)(images).value();
  for (const int bits : {3, 4}) {
    SCOPED_TRACE(bits);
    auto copy = mixed_net();
    for (size_t i = 0; i < copy->named_parameters().size(); ++i) {
      copy->named_parameters()[i].value.mutable_value().copy_from(net->named_parameters()[i].value.value());
    }
    for (size_t i = 0; i < copy->named_buffers().size(); ++i) {
      copy->named_buffers()[i].value->copy_from(*net->named_buffers()[i].value);
    }
    compensate(*copy, images, {.conversion = {.weight_bits = bits}});
    EXPECT_LT(output_error(*copy, images, expected), 0.3);
  }
}

/// A layer that sees only zeros, and one image: no system can be solved without damping.
/// What eight equal images say of 256 inputs is less than the rounding of their moments.
TEST(Compensate, DampsWideLayersOfWhichImagesSayLittle) {
  const Tensor one = normal({1, 1, 1, 256}, 1);
  Tensor images = Tensor::empty({8, 1, 1, 256});
  for (int64_t i = 0; i < 8; ++i) images.slice(i, i + 1).copy_from(one);
  manual_seed(1);
  const ModulePtr net = sequential(std::make_shared<GlobalAvgPool2d>(), std::make_shared<Linear>(256, 8));
  const CompensateReport report = compensate(*net, images, {.conversion = {.weight_bits = 4}});
  EXPECT_EQ(report.layers.size(), 1U);
  EXPECT_TRUE(std::isfinite(report.layers[0].error));
}

TEST(Compensate, TakesZerosAndFewImages) {
  auto net = mixed_net();
  compensate(*net, Tensor::zeros({2, 10, 10, 3}), {});
  for (const float value : all_values(*net)) ASSERT_TRUE(std::isfinite(value));
  auto other = mixed_net();
  compensate(*other, normal({1, 10, 10, 3}, 5),
             {.conversion = {.method = ShiftMethod::kPs, .weight_bits = 4}});
  for (const float value : all_values(*other)) ASSERT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace ds
