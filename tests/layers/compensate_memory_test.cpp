// Conversions that keep little: inputs in blocks, activations that are computed again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/compensate.h"
#include "layers/compensation/block_outputs.h"
#include "layers/compensation/streams.h"
#include "layers/compensation/vectors.h"
#include "layers/flatten.h"
#include "layers/weighted_layer.h"
#include "tests/layers/compensate_support.h"
#include "tests/layers/support.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

using test::all_values;
using test::convolution;
using test::error_of;
using test::normal;
using test::output_error;
using testing::HasSubstr;

/// A convolution of 36 inputs whose scale a norm takes in, and a linear layer of 800 without one.
std::shared_ptr<Sequential> wide_net() {
  manual_seed(4);
  auto net = sequential(convolution(3, 4, true), std::make_shared<Relu>(), convolution(4, 8, false),
                        std::make_shared<BatchNorm2d>(8), std::make_shared<Relu>(),
                        std::make_shared<Flatten>(), std::make_shared<Linear>(800, 10));
  net->train();
  for (uint64_t i = 0; i < 5; ++i) (*net)(normal({16, 10, 10, 3}, 100 + i));
  net->eval();
  return net;
}

const CompensatedLayer& layer_of(const CompensateReport& report, const std::string& path) {
  return *std::ranges::find(report.layers, path, &CompensatedLayer::path);
}

TEST(CompensateInBlocks, StaysFarBelowPlainRounding) {
  const Tensor images = normal({300, 10, 10, 3}, 5);
  for (const int bits : {3, 4}) {
    const ConvertOptions conversion{.weight_bits = bits};
    auto whole = wide_net();
    auto blocks = wide_net();
    auto plain = wide_net();
    const Tensor expected = (*plain)(images).value();
    const CompensateReport of_whole = compensate(*whole, images, {.conversion = conversion});
    const CompensateReport of_blocks =
        compensate(*blocks, images, {.conversion = conversion, .block_inputs = 100});
    convert_to_shift(*plain, conversion);
    EXPECT_EQ(layer_of(of_whole, "6").blocks, 1);
    EXPECT_EQ(layer_of(of_blocks, "0").blocks, 1);
    EXPECT_EQ(layer_of(of_blocks, "6").blocks, 8);
    EXPECT_THAT(of_blocks.str(), HasSubstr("in 8 blocks of inputs"));
    EXPECT_THAT(of_whole.str(), testing::Not(HasSubstr("blocks")));
    EXPECT_THAT(of_whole.str(), testing::ContainsRegex("p, in % +zero +-"));
    const double error = output_error(*blocks, images, expected);
    EXPECT_LT(error, 0.4 * output_error(*plain, images, expected)) << bits;
    EXPECT_GE(error, output_error(*whole, images, expected)) << bits;
    for (const CompensatedLayer& layer : of_blocks.layers)
      EXPECT_LT(layer.error, layer.plain_error) << layer.path;
  }
}

TEST(CompensateInBlocks, AreOfWholeChannels) {
  auto net = wide_net();
  const CompensateReport report =
      compensate(*net, normal({8, 10, 10, 3}, 5), {.conversion = {.weight_bits = 4}, .block_inputs = 20});
  EXPECT_EQ(layer_of(report, "0").blocks, 2) << "27 inputs of 9 taps: two channels, and one";
  EXPECT_EQ(layer_of(report, "2").blocks, 2);
  EXPECT_EQ(layer_of(report, "6").blocks, 40);
}

/// The norm behind filters that were scaled one by one gives their outputs the float layer's mean and
/// deviation.
TEST(CompensateInBlocks, MatchesTheNormToWhatTheBlocksGiveTogether) {
  const Tensor images = normal({200, 10, 10, 3}, 5);
  const auto features = [&](Sequential& net) {
    Variable x(images);
    for (size_t i = 0; i < 4; ++i) x = (*net.modules()[i])(x);
    return x.value().reshape({images.size(0) * 100, 8});
  };
  auto net = wide_net();
  const Tensor before = features(*net);
  compensate(*net, images, {.conversion = {.weight_bits = 3}, .block_inputs = 20});
  const Tensor after = features(*net);
  for (int64_t channel = 0; channel < 8; ++channel) {
    const auto moments = [&](const Tensor& x) {
      double sum = 0.0;
      double squares = 0.0;
      for (int64_t i = 0; i < x.size(0); ++i) {
        const double value = x.data<float>()[i * 8 + channel];
        sum += value;
        squares += value * value;
      }
      const double mean = sum / static_cast<double>(x.size(0));
      return std::pair(mean, std::sqrt(squares / static_cast<double>(x.size(0)) - mean * mean));
    };
    EXPECT_NEAR(moments(after).first, moments(before).first, 0.01) << channel;
    EXPECT_NEAR(moments(after).second, moments(before).second, 0.01) << channel;
  }
}

TEST(CompensateInBlocks, OfTheWholeWidthChangesNoBit) {
  const Tensor images = normal({40, 10, 10, 3}, 5);
  std::vector<std::vector<float>> results;
  for (const int64_t block : {int64_t{800}, int64_t{1} << 40}) {
    auto net = wide_net();
    compensate(*net, images, {.conversion = {.weight_bits = 3}, .block_inputs = block});
    results.push_back(all_values(*net));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_THAT(error_of([&] { compensate(*wide_net(), images, {.block_inputs = 0}); }),
              HasSubstr("block_inputs is 0"));
}

/// More filters than are rounded together, and more windows' values than a block of products has columns: the
/// errors in the report are those of the outputs, and the same for any number of threads.
TEST(CompensateMemory, GoesThroughWideLayersInParts) {
  manual_seed(9);
  const Tensor images = normal({700, 1, 1, 600}, 3);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2}) {
    const test::ScopedThreads scoped(threads);
    manual_seed(9);
    auto net = sequential(std::make_shared<Flatten>(), std::make_shared<Linear>(600, 520));
    net->eval();
    const Tensor before = (*net)(images).value();
    const CompensateReport report = compensate(*net, images, {.conversion = {.weight_bits = 4}});
    EXPECT_NEAR(report.layers[0].error, output_error(*net, images, before), 0.05 * report.layers[0].error);
    EXPECT_LT(report.layers[0].error, 0.8 * report.layers[0].plain_error);
    results.push_back(all_values(*net));
  }
  EXPECT_EQ(results[0], results[1]);
}

/// Whatever is kept, nothing or the values of some layers, or of all.
TEST(CompensateMemory, ChangesNoBit) {
  const Tensor images = normal({40, 10, 10, 3}, 5);
  std::vector<std::vector<float>> results;
  for (const int64_t kept : {int64_t{0}, int64_t{2} * 40 * 100 * 8 * 4, int64_t{1} << 40}) {
    auto net = test::mixed_net();
    compensate(*net, images, {.conversion = {.weight_bits = 4}, .kept_bytes = kept});
    results.push_back(all_values(*net));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

/// For every reader, kept or not; the fraction bits are those of the least squared error.
TEST(Stream, RoundsAValueForAllThatReadIt) {
  const auto net = sequential(convolution(3, 4, true), std::make_shared<Relu>(), convolution(4, 4, true),
                              std::make_shared<Relu>());
  const Tensor images = normal({5, 6, 6, 3}, 1);
  const Graph graph = trace(*net, images.slice(0, 1));
  Stream plain(graph, images, 2);
  Stream rounded(graph, images, 2);
  const int read = graph.nodes[2].inputs[0];
  const FixedPointOptions format{.fraction_bits = 2, .low = 0.0, .high = 15.0};
  rounded.round(read, format);
  const Tensor expected = ops::fixed_point(plain.rows(read, 2, 5), format);
  EXPECT_EQ(rounded.rows(read, 2, 5).to_vector<float>(), expected.to_vector<float>());
  const Tensor weight = plain.constant(graph.nodes[2].inputs[1]);
  const Tensor bias = plain.constant(graph.nodes[2].inputs[2]);
  const std::vector<float> after = ops::conv2d(expected, weight, bias, {.padding = 1}).to_vector<float>();
  EXPECT_EQ(rounded.rows(graph.nodes[2].output, 2, 5).to_vector<float>(), after);
  rounded.keep(read);
  EXPECT_EQ(rounded.rows(read, 2, 5).to_vector<float>(), expected.to_vector<float>());
  EXPECT_EQ(rounded.rows(graph.nodes[2].output, 2, 5).to_vector<float>(), after);
}

TEST(BlockOutputs, GiveTheStatisticsOfWhatWasAdded) {
  const Tensor y = normal({3, 2, 2, 2}, 1);
  const Tensor now = normal({3, 2, 2, 2}, 2);
  const Tensor plain = normal({3, 2, 2, 2}, 3);
  BlockOutputs sums(3);
  const Tensor half = Tensor::full({3, 2, 2, 2}, 0.5);  // the shares of two blocks
  const auto without = [&](const Tensor& x) { return ops::arithmetic(Arithmetic::kSubtract, x, half); };
  sums.add(0, half, half, half);
  sums.add(1, without(y).slice(1, 3), without(now).slice(1, 3), without(plain).slice(1, 3));
  sums.add(0, without(y).slice(0, 1), without(now).slice(0, 1), without(plain).slice(0, 1));
  const std::vector<double> scales = {1.0, 4.0};
  for (const bool mean_is_free : {false, true}) {
    const OutputStatistics found = sums.statistics(scales, mean_is_free);
    for (int64_t o = 0; o < 2; ++o) {
      const auto mean_of = [&](const auto& value) {
        double sum = 0.0;
        for (int64_t i = o; i < 24; i += 2) sum += value(i) / 12.0;
        return sum;
      };
      const auto of = [](const Tensor& x) {
        return [values = x.data<float>()](int64_t i) { return static_cast<double>(values[i]); };
      };
      const double float_mean = mean_of(of(y));
      const double mean = mean_of(of(now));
      const auto difference = [&](int64_t i) { return of(y)(i) - of(now)(i); };
      const double shift = mean_is_free ? mean_of(difference) : 0.0;
      EXPECT_NEAR(found.float_mean[at(o)], float_mean, 1e-6);
      const double scale = scales[at(o)];
      EXPECT_NEAR(found.mean[at(o)], scale * mean, 1e-6);
      EXPECT_NEAR(
          found.variance[at(o)],
          mean_of([&](int64_t i) { return (of(now)(i) - mean) * (of(now)(i) - mean); }) * scale * scale,
          1e-5);
      EXPECT_NEAR(found.float_variance[at(o)],
                  mean_of([&](int64_t i) { return (of(y)(i) - float_mean) * (of(y)(i) - float_mean); }),
                  1e-6);
      EXPECT_NEAR(found.error[at(o)],
                  mean_of([&](int64_t i) { return (difference(i) - shift) * (difference(i) - shift); }),
                  1e-6);
      const auto plain_difference = [&](int64_t i) { return of(y)(i) - of(plain)(i); };
      const double plain_shift = mean_is_free ? mean_of(plain_difference) : 0.0;
      EXPECT_NEAR(found.plain_error[at(o)], mean_of([&](int64_t i) {
                    return (plain_difference(i) - plain_shift) * (plain_difference(i) - plain_shift);
                  }),
                  1e-6);
    }
  }
}

}  // namespace
}  // namespace ds
