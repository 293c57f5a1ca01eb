#include "autograd/optim/adam.h"

#include <cmath>

#include "core/error.h"
#include "core/ops.h"

namespace ds {

void check_moments(const char* optimizer, double beta1, double beta2, double epsilon) {
  DS_CHECK(beta1 >= 0.0 && beta1 < 1.0 && beta2 >= 0.0 && beta2 < 1.0,
           "[{}] betas are {} and {}, expected 0 <= beta < 1", optimizer, beta1, beta2);
  DS_CHECK(epsilon >= 0.0 && std::isfinite(epsilon), "[{}] epsilon is {}, expected finite and not negative",
           optimizer, epsilon);
}

Adam::Adam(std::vector<ParameterGroup> groups, const AdamOptions& options, Decay decay)
    : Optimizer(std::move(groups), options.lr, {"first", "second"}), options_(options), decay_(decay) {
  check_moments("adam", options.beta1, options.beta2, options.epsilon);
}

Adam::Adam(std::vector<Variable> parameters, const AdamOptions& options)
    : Adam(one_group(std::move(parameters), options.weight_decay), options, Decay::kInGradient) {}

Adam::Adam(std::vector<ParameterGroup> groups, const AdamOptions& options)
    : Adam(own_decays(std::move(groups), options.weight_decay), options, Decay::kInGradient) {}

std::string Adam::describe() const {
  return fmt::format("Adam(lr {}, betas {} {})", lr(), options_.beta1, options_.beta2);
}

void Adam::update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
                  Slots& slots) {
  const auto t = static_cast<double>(slots.updates);
  const bool decoupled = decay_ == Decay::kDecoupled;
  ops::adam_step(gradient,
                 {.step_size = lr / (1.0 - std::pow(options_.beta1, t)),
                  .beta1 = options_.beta1,
                  .beta2 = options_.beta2,
                  .epsilon = options_.epsilon,
                  .second_correction = std::sqrt(1.0 - std::pow(options_.beta2, t)),
                  .l2 = decoupled ? 0.0 : group.weight_decay,
                  .decoupled_decay = decoupled ? lr * group.weight_decay : 0.0},
                 parameter, slots.tensors[0], slots.tensors[1]);
}

AdamW::AdamW(std::vector<Variable> parameters, const AdamOptions& options)
    : Adam(one_group(std::move(parameters), options.weight_decay), options, Decay::kDecoupled) {}

AdamW::AdamW(std::vector<ParameterGroup> groups, const AdamOptions& options)
    : Adam(own_decays(std::move(groups), options.weight_decay), options, Decay::kDecoupled) {}

std::string AdamW::describe() const { return "AdamW" + Adam::describe().substr(4); }

}  // namespace ds
