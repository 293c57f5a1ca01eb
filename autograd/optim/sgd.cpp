#include "autograd/optim/sgd.h"

#include <cmath>

#include "core/error.h"
#include "core/ops.h"

namespace ds {
namespace {

std::vector<std::string> slot_names(const SgdOptions& options) {
  if (options.momentum == 0.0) return {};
  return {"momentum"};
}

}  // namespace

Sgd::Sgd(std::vector<Variable> parameters, const SgdOptions& options)
    : Optimizer(one_group(std::move(parameters), options.weight_decay), options.lr, slot_names(options)),
      options_(options) {
  check();
}

Sgd::Sgd(std::vector<ParameterGroup> groups, const SgdOptions& options)
    : Optimizer(own_decays(std::move(groups), options.weight_decay), options.lr, slot_names(options)),
      options_(options) {
  check();
}

void Sgd::check() const {
  DS_CHECK(options_.momentum >= 0.0 && std::isfinite(options_.momentum) && std::isfinite(options_.dampening),
           "[sgd] momentum {} and dampening {}, expected finite, momentum not negative", options_.momentum,
           options_.dampening);
  DS_CHECK(!options_.nesterov || (options_.momentum > 0.0 && options_.dampening == 0.0),
           "[sgd] Nesterov with momentum {} and dampening {}, expected momentum above 0 and dampening 0",
           options_.momentum, options_.dampening);
}

std::string Sgd::describe() const {
  return fmt::format("Sgd(lr {}, momentum {}{})", lr(), options_.momentum,
                     options_.nesterov ? ", Nesterov" : "");
}

void Sgd::update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
                 Slots& slots) {
  Tensor none;
  Tensor& momentum = slots.tensors.empty() ? none : slots.tensors[0];
  ops::sgd_step(gradient,
                {.lr = lr,
                 .momentum = options_.momentum,
                 .dampening = options_.dampening,
                 .weight_decay = group.weight_decay,
                 .nesterov = options_.nesterov,
                 .first_step = slots.updates == 1},
                parameter, momentum);
}

}  // namespace ds
