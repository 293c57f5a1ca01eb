#include <cmath>

#include "tests/support/op_cases.h"

namespace ds::test {
namespace {

constexpr int64_t kCount = 20001;

OpCase sgd_case(const std::string& variant, const SgdStepOptions& options) {
  return {.op = "sgd_step",
          .variant = variant,
          .inputs = {{{kCount}, normal()}, {{kCount}, normal()}, {{kCount}, normal()}},
          .run =
              [=](std::vector<Tensor>& in) {
                ops::sgd_step(in[0], options, in[1], in[2]);
                return std::vector{in[1], in[2]};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                Values parameter = in[1];
                Values buffer = in[2];
                for (size_t i = 0; i < parameter.size(); ++i) {
                  double step = in[0][i] + options.weight_decay * parameter[i];
                  if (options.momentum != 0.0) {
                    const double kept = options.momentum * buffer[i] + (1.0 - options.dampening) * step;
                    buffer[i] = options.first_step ? step : kept;
                    step = options.nesterov ? step + options.momentum * buffer[i] : buffer[i];
                  }
                  parameter[i] -= options.lr * step;
                }
                return std::vector{parameter, buffer};
              }};
}

OpCase adam_case(const std::string& variant, const AdamStepOptions& options) {
  return {.op = "adam_step",
          .variant = variant,
          .inputs = {{{kCount}, normal()},
                     {{kCount}, normal()},
                     {{kCount}, normal()},
                     {{kCount}, uniform(0.01, 2.0)}},
          .run =
              [=](std::vector<Tensor>& in) {
                ops::adam_step(in[0], options, in[1], in[2], in[3]);
                return std::vector{in[1], in[2], in[3]};
              },
          .expected =
              [=](const std::vector<Values>& in) {
                std::vector<Values> out = {in[1], in[2], in[3]};
                for (size_t i = 0; i < in[0].size(); ++i) {
                  const double gradient = in[0][i] + options.l2 * in[1][i];
                  out[1][i] = options.beta1 * in[2][i] + (1.0 - options.beta1) * gradient;
                  out[2][i] = options.beta2 * in[3][i] + (1.0 - options.beta2) * gradient * gradient;
                  const double root = std::sqrt(out[2][i]) / options.second_correction + options.epsilon;
                  out[0][i] = in[1][i] * (1.0 - options.decoupled_decay) -
                              options.step_size * out[1][i] / (options.adaptive ? root : 1.0);
                }
                return out;
              }};
}

}  // namespace

std::vector<OpCase> optimizer_cases() {
  return {sgd_case("plain", {.lr = 0.1, .weight_decay = 0.01}),
          sgd_case("first step with momentum",
                   {.lr = 0.1, .momentum = 0.9, .dampening = 0.5, .first_step = true}),
          sgd_case("momentum", {.lr = 0.1, .momentum = 0.9, .dampening = 0.25, .weight_decay = 0.01}),
          sgd_case("Nesterov", {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}),
          adam_case("Adam", {.step_size = 0.02, .second_correction = 0.3, .l2 = 0.01}),
          adam_case("AdamW", {.step_size = 0.02, .beta1 = 0.8, .beta2 = 0.99, .decoupled_decay = 0.05}),
          adam_case("RAdam before its rectification", {.step_size = 0.02, .adaptive = false}),
          {.op = "lerp",
           .variant = "towards the target",
           .inputs = {{{kCount}, normal()}, {{kCount}, normal()}},
           .run =
               [](std::vector<Tensor>& in) {
                 ops::lerp(in[0], 0.1, in[1]);
                 return std::vector{in[1]};
               },
           .expected =
               [](const std::vector<Values>& in) {
                 Values y;
                 for (size_t i = 0; i < in[0].size(); ++i) y.push_back(0.9 * in[1][i] + 0.1 * in[0][i]);
                 return std::vector<Values>{y};
               }}};
}

}  // namespace ds::test
