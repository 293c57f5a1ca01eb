#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "core/shift/codes.h"
#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr ShiftRange kFiveBits{.p_min = -15, .p_max = 0};
constexpr RandomSource kRandom{.seed = 5, .stream = 2, .first = 6};

double uniform_of(size_t i) {
  return uniform_from_word(random_word(kRandom.seed, kRandom.stream, kRandom.first + i));
}

/// p bounded, as a power of two.
double power(double p, ShiftRange range) {
  return std::pow(2.0, std::clamp(p, static_cast<double>(range.p_min), static_cast<double>(range.p_max)));
}

OpCase shift_q_case(const std::string& variant, const ShiftRoundingOptions& options, const OpInput& input) {
  return {.op = "shift_q",
          .variant = variant,
          .inputs = {input},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::shift_q(in[0], options)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values y;
                for (size_t i = 0; i < in[0].size(); ++i) {
                  const double logarithm = std::log2(std::abs(in[0][i]));
                  const double lower = std::floor(logarithm);
                  const bool up = options.rounding == Rounding::kStochastic
                                      ? uniform_of(i) < logarithm - lower
                                      : logarithm - lower > 0.5;
                  y.push_back(power(lower + (up ? 1.0 : 0.0), options.range) * (in[0][i] < 0.0 ? -1.0 : 1.0));
                }
                return std::vector<Values>{y};
              },
          .tolerance = 0.0};
}

OpCase shift_ps_case(const std::string& variant, const ShiftRoundingOptions& options, const OpInput& shift) {
  return {.op = "shift_ps",
          .variant = variant,
          .inputs = {shift, {shift.shape, uniform(-1.7, 1.7)}},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::shift_ps(in[0], in[1], options)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values y;
                for (size_t i = 0; i < in[0].size(); ++i) {
                  const double lower = std::floor(in[0][i]);
                  const double stochastic = lower + (uniform_of(i) < in[0][i] - lower ? 1.0 : 0.0);
                  const double p =
                      options.rounding == Rounding::kStochastic ? stochastic : std::nearbyint(in[0][i]);
                  const double sign = std::clamp(std::nearbyint(in[1][i]), -1.0, 1.0);
                  y.push_back(sign * power(p, options.range));
                }
                return std::vector<Values>{y};
              },
          .tolerance = 0.0};
}

OpCase shift_q_clamp_case() {
  return {.op = "shift_q_clamp",
          .variant = "zeros of both signs, values beyond both ends, NaN",
          .inputs = {{{40001},
                      listed({0.0, -0.0, 1e-9, -1e-9, 0.3, -0.3, 1.0, -1.5, 1e-40, kInfinity, -kInfinity,
                              kNan, -0.0625})}},
          .run =
              [](std::vector<Tensor>& in) {
                const Tensor zeros = ops::shift_q_clamp(in[0], {.p_min = -3, .p_max = 0});
                return std::vector{in[0], zeros};
              },
          .expected =
              [](const std::vector<Values>& in) {
                Values w;
                double zeros = 0.0;
                for (const double x : in[0]) {
                  zeros += x == 0.0 ? 1.0 : 0.0;
                  const double magnitude = std::isnan(x) ? x : std::clamp(std::abs(x), 0.125, 1.0);
                  w.push_back(x < 0.0 ? -magnitude : magnitude);
                }
                return std::vector<Values>{w, {zeros}};
              },
          .tolerance = 0.0};
}

OpCase two_term_case(const std::string& variant, ShiftFormat format, const OpInput& input) {
  return {.op = "two_term",
          .variant = variant,
          .inputs = {input},
          .run = [=](std::vector<Tensor>& in) { return std::vector{ops::two_term(in[0], format)}; },
          .expected =
              [=](const std::vector<Values>& in) {
                Values terms;
                if (format.method == ShiftMethod::kPs) terms.push_back(0.0);
                const auto [p_min, p_max] = format.range();
                for (int p = p_min; p <= p_max; ++p) {
                  for (const double sign : {1.0, -1.0}) terms.push_back(sign * std::ldexp(1.0, p));
                }
                Values y;
                for (const double x : in[0]) {
                  double best = std::isnan(x) ? x : kInfinity;
                  for (const double a : terms) {
                    for (const double b : terms) {
                      const double further = std::abs(a + b - x) - std::abs(best - x);
                      if (further < 0.0 || (further == 0.0 && std::abs(a + b) < std::abs(best))) best = a + b;
                    }
                  }
                  y.push_back(best);
                }
                return std::vector<Values>{y};
              },
          .tolerance = 0.0};
}

OpCase fixed_point_case(const std::string& variant, const FixedPointOptions& options, const OpInput& input) {
  return {
      .op = "fixed_point",
      .variant = variant,
      .inputs = {input},
      .run = [=](std::vector<Tensor>& in) { return std::vector{ops::fixed_point(in[0], options)}; },
      .expected =
          [=](const std::vector<Values>& in) {
            Values y;
            for (const double x : in[0]) {
              const double value = std::ldexp(x, options.fraction_bits);
              const double rounded = std::floor(options.rounding == Rounding::kNearest ? value + 0.5 : value);
              const double q = std::isnan(rounded) ? rounded : std::clamp(rounded, options.low, options.high);
              y.push_back(std::ldexp(q, -options.fraction_bits));
            }
            return std::vector<Values>{y};
          },
      .tolerance = 0.0};
}

}  // namespace

std::vector<OpCase> rounding_cases() {
  const ShiftRoundingOptions nearest{.range = kFiveBits};
  const ShiftRoundingOptions stochastic{
      .range = kFiveBits, .rounding = Rounding::kStochastic, .random = kRandom};
  const OpInput ends{{10}, listed({0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0, 3.0, -1e30, 0.75, kNan})};
  const OpInput eighths{{20001}, integers(1000)};
  const auto format = [](int fraction_bits, Rounding rounding) {
    return FixedPointOptions{.fraction_bits = fraction_bits, .low = -128, .high = 127, .rounding = rounding};
  };
  const OpInput halves{{9}, listed({0.5, -0.5, 1.5, -1.5, 2.5, 0.49999997, -1e30, 1e30, kNan})};
  return {shift_q_case("nearest", nearest, {{20001}, normal(0.0, 0.2)}),
          shift_q_case("two bits", {.range = {.p_min = -1, .p_max = 0}}, {{200}, normal()}),
          shift_q_case("zeros and both ends", nearest, ends),
          shift_q_case("stochastic", stochastic, {{20001}, normal(0.0, 0.2)}),
          shift_q_case("stochastic NaN", stochastic, {{3}, listed({0.3, kNan, -0.3})}),
          shift_q_clamp_case(),
          shift_ps_case("nearest", nearest, {{20001}, uniform(-17.0, 2.0)}),
          shift_ps_case("half to even", nearest, {{40}, listed({-0.5, -1.5, -2.5, -3.5, -14.5, -15.5})}),
          shift_ps_case("stochastic", stochastic, {{20001}, uniform(-17.0, 2.0)}),
          shift_ps_case("NaN", nearest, {{40}, listed({-1.0, kNan, -3.0})}),
          {.op = "shift_ps_backward",
           .variant = "zero signs too",
           .inputs = {{{90}, normal()}, {{90}, listed({0.0, 0.5, -0.25, 1.0})}},
           .run = [](std::vector<Tensor>& in) { return std::vector{ops::shift_ps_backward(in[0], in[1])}; },
           .expected =
               [](const std::vector<Values>& in) {
                 Values dshift;
                 for (size_t i = 0; i < in[0].size(); ++i)
                   dshift.push_back(in[0][i] * in[1][i] * std::numbers::ln2);
                 return std::vector<Values>{dshift};
               },
           .tolerance = 1e-6},
          two_term_case("q", {.bits = 5, .terms = 2}, {{3001}, normal(0.0, 0.4)}),
          two_term_case("ps and an offset", {.method = ShiftMethod::kPs, .bits = 4, .offset = -2, .terms = 2},
                        {{3001}, normal(0.0, 0.2)}),
          two_term_case("middles and both ends", {.bits = 3, .terms = 2},
                        {{8}, listed({0.0, 0.0625, -0.6875, 1.75, -1.75, 9.0, -1e6, kNan})}),
          fixed_point_case("nearest", format(4, Rounding::kNearest), {{20001}, normal(0.0, 6.0)}),
          fixed_point_case("floor", format(4, Rounding::kFloor), {{20001}, normal(0.0, 6.0)}),
          fixed_point_case("halves go up", format(0, Rounding::kNearest), halves),
          fixed_point_case("halves go down", format(0, Rounding::kFloor), halves),
          fixed_point_case("negative fraction bits", format(-3, Rounding::kNearest), eighths),
          // 8388609 is odd: adding a half to it in f32 would round to the even neighbour
          fixed_point_case("large odd integers", {.low = -0x1p31, .high = 0x1p31 - 128},
                           {{5}, listed({8388609, -8388609, 16777213})})};
}

}  // namespace ds::test
