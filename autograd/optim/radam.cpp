#include "autograd/optim/radam.h"

#include <cmath>

#include "autograd/optim/adam.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

struct Rectification {
  bool adaptive;  // whether the variance of the adaptive rate is tractable yet
  double factor;
};

Rectification rectify(double beta2, double t) {
  const double power = std::pow(beta2, t);
  const double rho_inf = 2.0 / (1.0 - beta2) - 1.0;
  const double rho = rho_inf - 2.0 * t * power / (1.0 - power);
  if (!(rho > 5.0)) return {.adaptive = false, .factor = 1.0};
  return {
      .adaptive = true,
      .factor = std::sqrt((rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho))};
}

}  // namespace

RAdam::RAdam(std::vector<Variable> parameters, const RAdamOptions& options)
    : Optimizer(one_group(std::move(parameters), options.weight_decay), options.lr, {"first", "second"}),
      options_(options) {
  check();
}

RAdam::RAdam(std::vector<ParameterGroup> groups, const RAdamOptions& options)
    : Optimizer(own_decays(std::move(groups), options.weight_decay), options.lr, {"first", "second"}),
      options_(options) {
  check();
}

void RAdam::check() const { check_moments("radam", options_.beta1, options_.beta2, options_.epsilon); }

std::string RAdam::describe() const {
  return fmt::format("RAdam(lr {}, betas {} {})", lr(), options_.beta1, options_.beta2);
}

void RAdam::update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
                   Slots& slots) {
  const auto t = static_cast<double>(slots.updates);
  const Rectification rectification = rectify(options_.beta2, t);
  const double correction = std::sqrt(1.0 - std::pow(options_.beta2, t));
  const bool decoupled = options_.decoupled_weight_decay;
  // epsilon is added to sqrt(v) before the correction, unlike in Adam
  ops::adam_step(gradient,
                 {.step_size = lr * rectification.factor / (1.0 - std::pow(options_.beta1, t)),
                  .beta1 = options_.beta1,
                  .beta2 = options_.beta2,
                  .epsilon = options_.epsilon / correction,
                  .second_correction = correction,
                  .l2 = decoupled ? 0.0 : group.weight_decay,
                  .decoupled_decay = decoupled ? lr * group.weight_decay : 0.0,
                  .adaptive = rectification.adaptive},
                 parameter, slots.tensors[0], slots.tensors[1]);
}

}  // namespace ds
