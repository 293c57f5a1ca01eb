#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr double kEps = 1e-5;

/// Rows of channels.
struct Rows {
  const Values& values;
  size_t channels;

  size_t count() const { return values.size() / channels; }
  double operator()(size_t row, size_t c) const { return values[row * channels + c]; }
};

/// Means and biased variances of the channels, in two passes.
std::vector<Values> statistics(const Rows& x) {
  Values mean(x.channels);
  Values variance(x.channels);
  const auto count = static_cast<double>(x.count());
  for (size_t c = 0; c < x.channels; ++c) {
    for (size_t row = 0; row < x.count(); ++row) mean[c] += x(row, c) / count;
    for (size_t row = 0; row < x.count(); ++row) variance[c] += std::pow(x(row, c) - mean[c], 2) / count;
  }
  return {mean, variance};
}

OpCase statistics_case(const std::string& variant, const OpInput& input) {
  return {.op = "batch_norm_statistics",
          .variant = variant,
          .inputs = {input},
          .run =
              [](std::vector<Tensor>& in) {
                const ops::BatchStatistics result = ops::batch_norm_statistics(in[0]);
                return std::vector{result.mean, result.variance};
              },
          .expected =
              [channels = static_cast<size_t>(input.shape[-1])](const std::vector<Values>& in) {
                return statistics({in[0], channels});
              },
          .tolerance = 1e-6};
}

/// Inputs x, mean, variance, gamma, beta.
OpCase batch_norm_case(const Shape& x) {
  const Shape channels{x[-1]};
  return {.op = "batch_norm",
          .variant = x.str(),
          .inputs = {{x, normal(3.0, 2.0)},
                     {channels, normal(3.0, 0.5)},
                     {channels, uniform(0.5, 4.0)},
                     {channels, normal()},
                     {channels, normal()}},
          .run =
              [](std::vector<Tensor>& in) {
                return std::vector{
                    ops::batch_norm(in[0], {.mean = in[1], .variance = in[2]}, in[3], in[4], kEps)};
              },
          .expected =
              [](const std::vector<Values>& in) {
                Values y;
                for (size_t i = 0; i < in[0].size(); ++i) {
                  const size_t c = i % in[1].size();
                  y.push_back(in[3][c] * (in[0][i] - in[1][c]) / std::sqrt(in[2][c] + kEps) + in[4][c]);
                }
                return std::vector<Values>{y};
              }};
}

/// Gradients for batch statistics by the chain rule through mean and variance, for constant ones directly.
std::vector<Values> batch_norm_gradients(const Rows& dy, const Rows& x, const Values& mean,
                                         const Values& variance, const Values& gamma, bool batch_statistics) {
  Values dx(x.values.size());
  Values dgamma(x.channels);
  Values dbeta(x.channels);
  const auto count = static_cast<double>(x.count());
  for (size_t c = 0; c < x.channels; ++c) {
    const double deviation = std::sqrt(variance[c] + kEps);
    double dmean = 0.0;
    double dvariance = 0.0;
    for (size_t row = 0; row < x.count(); ++row) {
      const double centered = x(row, c) - mean[c];
      dbeta[c] += dy(row, c);
      dgamma[c] += dy(row, c) * centered / deviation;
      dmean -= dy(row, c) * gamma[c] / deviation;
      dvariance -= dy(row, c) * gamma[c] * centered / (2.0 * deviation * deviation * deviation);
    }
    for (size_t row = 0; row < x.count(); ++row) {
      double& result = dx[row * x.channels + c];
      result = dy(row, c) * gamma[c] / deviation;
      if (batch_statistics) result += dmean / count + dvariance * 2.0 * (x(row, c) - mean[c]) / count;
    }
  }
  return {dx, dgamma, dbeta};
}

OpCase batch_norm_backward_case(const Shape& x, bool batch_statistics) {
  const Shape channels{x[-1]};
  return {
      .op = "batch_norm_backward",
      .variant = x.str() + (batch_statistics ? ", statistics of the batch" : ", constant statistics"),
      .inputs = {{x, normal()},
                 {x, normal(2.0, 1.5)},
                 {channels, normal(2.0, 0.2)},
                 {channels, uniform(0.5, 4.0)},
                 {channels, normal()}},
      .run =
          [=](std::vector<Tensor>& in) {
            const ops::BatchNormGradients result = ops::batch_norm_backward(
                in[0], in[1], {.mean = in[2], .variance = in[3]}, in[4], kEps, batch_statistics);
            return std::vector{result.dx, result.dgamma, result.dbeta};
          },
      .expected =
          [=](const std::vector<Values>& in) {
            const auto size = static_cast<size_t>(channels[0]);
            return batch_norm_gradients({in[0], size}, {in[1], size}, in[2], in[3], in[4], batch_statistics);
          }};
}

/// max(batch norm + shortcut, 0); inputs x, mean, variance, gamma, beta and perhaps a shortcut.
OpCase batch_norm_relu_case(const Shape& x, bool shortcut) {
  OpCase plain = batch_norm_case(x);
  if (shortcut) plain.inputs.push_back({x, normal(0.5)});
  return {.op = "batch_norm_relu",
          .variant = x.str() + (shortcut ? ", shortcut" : ""),
          .inputs = plain.inputs,
          .run =
              [=](std::vector<Tensor>& in) {
                return std::vector{ops::batch_norm_relu(in[0], {.mean = in[1], .variance = in[2]}, in[3],
                                                        in[4], shortcut ? in[5] : Tensor(), kEps)};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values y = plain.expected(in)[0];
                for (size_t i = 0; i < y.size(); ++i)
                  y[i] = std::max(y[i] + (shortcut ? in[5][i] : 0.0), 0.0);
                return std::vector<Values>{y};
              }};
}

/// Without its output, which is made again. Inputs dy, x, mean, variance, gamma, beta.
OpCase batch_norm_relu_backward_from_input_case(const Shape& x, bool batch_statistics) {
  OpCase plain = batch_norm_backward_case(x, batch_statistics);
  plain.inputs.push_back({Shape{x[-1]}, normal()});
  return {.op = "batch_norm_relu_backward",
          .variant = plain.variant + ", output made again",
          .inputs = plain.inputs,
          .run =
              [=](std::vector<Tensor>& in) {
                const auto norm =
                    ops::batch_norm_relu_backward(in[0], in[1], {}, {.mean = in[2], .variance = in[3]}, in[4],
                                                  in[5], kEps, batch_statistics, false)
                        .norm;
                return std::vector{norm.dx, norm.dgamma, norm.dbeta};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                std::vector<Values> passed = in;
                const auto size = static_cast<size_t>(x[-1]);
                for (size_t i = 0; i < passed[0].size(); ++i) {
                  const size_t c = i % size;
                  const double y = in[4][c] * (in[1][i] - in[2][c]) / std::sqrt(in[3][c] + kEps) + in[5][c];
                  if (!(y > 0.0)) passed[0][i] = 0.0;
                }
                return plain.expected(passed);
              }};
}

/// Inputs dy, x, mean, variance, gamma, y.
OpCase batch_norm_relu_backward_case(const Shape& x, bool batch_statistics, bool shortcut) {
  OpCase plain = batch_norm_backward_case(x, batch_statistics);
  plain.inputs.push_back({x, listed({0.0, 0.5, 0.0, 2.0, 1.0})});
  return {.op = "batch_norm_relu_backward",
          .variant = plain.variant + (shortcut ? ", shortcut" : ""),
          .inputs = plain.inputs,
          .run =
              [=](std::vector<Tensor>& in) {
                const auto [norm, dshortcut] = ops::batch_norm_relu_backward(
                    in[0], in[1], in[5], {.mean = in[2], .variance = in[3]}, in[4],
                    Tensor::zeros({x[-1]}, in[4].dtype(), in[4].device()), kEps, batch_statistics, shortcut);
                std::vector<Tensor> results{norm.dx, norm.dgamma, norm.dbeta};
                if (shortcut) results.push_back(dshortcut);
                return results;
              },
          .expected =
              [=](const std::vector<Values>& in) {
                std::vector<Values> passed = in;
                for (size_t i = 0; i < passed[0].size(); ++i) passed[0][i] *= in[5][i] > 0.0 ? 1.0 : 0.0;
                std::vector<Values> results = plain.expected(passed);
                if (shortcut) results.push_back(passed[0]);
                return results;
              }};
}

Values softmax_of(const Values& x, size_t columns) {
  Values p = x;
  for (auto row = p.begin(); row != p.end(); row += static_cast<int64_t>(columns)) {
    const double largest = *std::max_element(row, row + static_cast<int64_t>(columns));
    double sum = 0.0;
    for (size_t c = 0; c < columns; ++c) sum += std::exp(row[static_cast<int64_t>(c)] - largest);
    for (size_t c = 0; c < columns; ++c) {
      double& value = row[static_cast<int64_t>(c)];
      value = std::exp(value - largest) / sum;
    }
  }
  return p;
}

OpCase softmax_case(const std::string& variant, const OpInput& input) {
  return {.op = "softmax",
          .variant = variant,
          .inputs = {input},
          .run = [](std::vector<Tensor>& in) { return std::vector{ops::softmax(in[0])}; },
          .expected =
              [columns = static_cast<size_t>(input.shape[-1])](const std::vector<Values>& in) {
                return std::vector<Values>{softmax_of(in[0], columns)};
              },
          .tolerance = 1e-6};
}

OpCase one_hot_case(double smoothing) {
  return {.op = "one_hot",
          .variant = "smoothing " + std::to_string(smoothing),
          .inputs = {{{3000}, integers(10), DType::kI64}, {{1}, normal()}},  // the second gives the type
          .run =
              [=](std::vector<Tensor>& in) {
                return std::vector{ops::one_hot(in[0], 10, smoothing, in[1].dtype())};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values y;
                for (const double label : in[0]) {
                  for (int c = 0; c < 10; ++c)
                    y.push_back((label == c ? 1.0 - smoothing : 0.0) + smoothing / 10.0);
                }
                return std::vector<Values>{y};
              },
          .tolerance = 1e-7};
}

/// A mean over rows of -sum_c target log softmax, from logarithms of sums of exponentials.
OpCase cross_entropy_case(const std::string& variant, const OpInput& logits, const OpInput& targets) {
  return {.op = "cross_entropy",
          .variant = variant,
          .inputs = {logits, targets},
          .run =
              [](std::vector<Tensor>& in) {
                const ops::CrossEntropyResult result = ops::cross_entropy(in[0], in[1]);
                return std::vector{result.loss, result.probabilities};
              },
          .expected =
              [columns = static_cast<size_t>(logits.shape[1])](const std::vector<Values>& in) {
                const size_t rows = in[0].size() / columns;
                double loss = 0.0;
                for (size_t row = 0; row < rows; ++row) {
                  const auto x = in[0].begin() + static_cast<int64_t>(row * columns);
                  const double largest = *std::max_element(x, x + static_cast<int64_t>(columns));
                  double sum = 0.0;
                  for (size_t c = 0; c < columns; ++c) sum += std::exp(x[static_cast<int64_t>(c)] - largest);
                  for (size_t c = 0; c < columns; ++c) {
                    const double target = in[1][row * columns + c];
                    if (target != 0.0)
                      loss += target * ((largest - x[static_cast<int64_t>(c)]) + std::log(sum));
                  }
                }
                return std::vector<Values>{{loss / static_cast<double>(rows)}, softmax_of(in[0], columns)};
              },
          .tolerance = 1e-6};
}

OpCase cross_entropy_backward_case(const std::string& variant,
                                   const std::function<Values(int64_t, Generator&)>& targets) {
  return {.op = "cross_entropy_backward",
          .variant = variant,
          .inputs = {{{1}, normal()}, {{40, 7}, distributions(7)}, {{40, 7}, targets}},
          .run =
              [](std::vector<Tensor>& in) {
                return std::vector{ops::cross_entropy_backward(in[0], in[1], in[2])};
              },
          .expected =
              [](const std::vector<Values>& in) {
                Values dx;
                for (size_t i = 0; i < in[1].size(); ++i) {
                  const auto row = in[2].begin() + static_cast<int64_t>(i / 7 * 7);
                  const double total = std::accumulate(row, row + 7, 0.0);
                  dx.push_back((in[1][i] * total - in[2][i]) * in[0][0] / 40.0);
                }
                return std::vector<Values>{dx};
              },
          .tolerance = 1e-7};
}

}  // namespace

std::vector<OpCase> normalisation_cases() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<OpCase> cases = {
      statistics_case("several chunks", {{5, 32, 32, 16}, normal(0.3, 2.0)}),
      statistics_case("three channels, odd number of rows", {{7, 31, 13, 3}, normal()}),
      statistics_case("mean far from zero", {{3, 32, 32, 16}, normal(10000.0, 1.0)}),
      statistics_case("first row far from the rest", {{4001, 1},
                                                      [](int64_t count, Generator& generator) {
                                                        Values values = normal()(count, generator);
                                                        values[0] = 500.0;
                                                        return values;
                                                      }}),
      statistics_case("one row", {{1, 9}, normal()}),
      statistics_case("more channels than a chunk", {{3, 20001}, normal()})};
  for (const Shape& shape : {Shape{4, 5, 6, 16}, Shape{3000, 7}, Shape{3, 1}, Shape{0, 4}}) {
    cases.push_back(batch_norm_case(shape));
    cases.push_back(batch_norm_backward_case(shape, true));
    cases.push_back(batch_norm_backward_case(shape, false));
    cases.push_back(batch_norm_relu_backward_from_input_case(shape, true));
    cases.push_back(batch_norm_relu_backward_from_input_case(shape, false));
    for (const bool shortcut : {false, true}) {
      cases.push_back(batch_norm_relu_case(shape, shortcut));
      cases.push_back(batch_norm_relu_backward_case(shape, true, shortcut));
      cases.push_back(batch_norm_relu_backward_case(shape, false, shortcut));
    }
  }
  cases.push_back(softmax_case("rows", {{2000, 10}, normal(0.0, 3.0)}));
  cases.push_back(softmax_case("large logits", {{9, 5}, normal(0.0, 1e4)}));
  cases.push_back(softmax_case("one class", {{9, 1}, normal()}));
  cases.push_back(softmax_case("no rows", {{0, 5}, normal()}));
  cases.push_back(one_hot_case(0.0));
  cases.push_back(one_hot_case(0.1));
  cases.push_back(
      cross_entropy_case("soft targets", {{2000, 10}, normal(0.0, 3.0)}, {{2000, 10}, distributions(10)}));
  cases.push_back(cross_entropy_case("large logits", {{9, 5}, normal(1e6, 2.0)}, {{9, 5}, distributions(5)}));
  cases.push_back(cross_entropy_case("a certain target", {{6, 3}, listed({40.0, 0.0, -90.0})},
                                     {{6, 3}, listed({1.0, 0.0, 0.0})}));
  cases.push_back(cross_entropy_case("an impossible class without a target",
                                     {{2, 3}, listed({1.0, -kInfinity, 2.0})},
                                     {{2, 3}, listed({0.25, 0.0, 0.75})}));
  cases.push_back(cross_entropy_backward_case("soft targets", distributions(7)));
  cases.push_back(cross_entropy_backward_case("targets of any sum", normal()));
  return cases;
}

}  // namespace ds::test
