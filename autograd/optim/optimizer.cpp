#include "autograd/optim/optimizer.h"

#include <cmath>
#include <map>
#include <unordered_set>

#include "core/error.h"

namespace ds {
namespace {

constexpr const char* kUpdates = "updates";

bool is_rate(double value) { return value >= 0.0 && std::isfinite(value); }

std::string slot_key(size_t parameter, const std::string& slot) {
  return fmt::format("{}.{}", parameter, slot);
}

void check_groups(const std::vector<ParameterGroup>& groups) {
  std::unordered_set<const void*> seen;
  for (const ParameterGroup& group : groups) {
    DS_CHECK(is_rate(group.weight_decay) && is_rate(group.lr_scale),
             "[optimizer] weight decay {} and learning rate scale {}, expected finite and not negative",
             group.weight_decay, group.lr_scale);
    for (const Variable& parameter : group.parameters) {
      DS_CHECK(parameter.requires_grad(), "[optimizer] parameter {} requires no gradient", seen.size());
      DS_CHECK(group.weight_decay == 0.0 || parameter.decay_forbidden().empty(),
               "[optimizer] parameter {} has weight decay {}, expected none: {}", seen.size(),
               group.weight_decay, parameter.decay_forbidden());
      DS_CHECK(seen.insert(parameter.id()).second, "[optimizer] a parameter with shape {} is listed twice",
               parameter.shape().str());
    }
  }
  DS_CHECK(!seen.empty(), "[optimizer] no parameters, expected at least one");
}

/// Removes a tensor from the map; it must be there, with this shape and type.
Tensor take(std::map<std::string, Tensor>& given, const std::string& key, const Shape& shape, DType dtype) {
  const auto node = given.extract(key);
  Tensor found = node ? node.mapped() : Tensor();
  DS_CHECK(found.defined() && found.shape() == shape && found.dtype() == dtype,
           "[optimizer] state \"{}\": found {}, expected {} {}", key,
           found.defined() ? fmt::format("{} {}", name_of(found.dtype()), found.shape().str()) : "nothing",
           name_of(dtype), shape.str());
  return found;
}

}  // namespace

Optimizer::Optimizer(std::vector<ParameterGroup> groups, double lr, std::vector<std::string> slot_names)
    : groups_(std::move(groups)), slot_names_(std::move(slot_names)) {
  set_lr(lr);
  check_groups(groups_);
  for (const ParameterGroup& group : groups_) {
    parameters_.insert(parameters_.end(), group.parameters.begin(), group.parameters.end());
  }
  slots_.resize(parameters_.size());
  for (Slots& slots : slots_) slots.tensors.resize(slot_names_.size());
}

void Optimizer::set_lr(double lr) {
  set_scheduled_lr(lr);
  base_lr_ = lr;
}

void Optimizer::set_scheduled_lr(double lr) {
  DS_CHECK(is_rate(lr), "[optimizer] learning rate is {}, expected finite and not negative", lr);
  lr_ = lr;
}

void Optimizer::step() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    DS_CHECK(
        parameters_[i].retired().empty(),
        "[optimizer] parameter {} of {} was replaced ({}): make a new optimizer from the model's parameters",
        i, parameters_.size(), parameters_[i].retired());
  }
  ++steps_;
  size_t index = 0;
  for (ParameterGroup& group : groups_) {
    for (Variable& parameter : group.parameters) {
      Slots& slots = slots_[index++];
      if (!parameter.grad().defined()) continue;
      Tensor& value = parameter.mutable_value();
      if (slots.updates++ == 0) {
        for (Tensor& slot : slots.tensors) slot = Tensor::zeros(value.shape(), value.dtype(), value.device());
      }
      update(parameter.grad(), lr_ * group.lr_scale, group, value, slots);
      parameter.project();
    }
  }
}

void Optimizer::zero_grad() {
  for (Variable& parameter : parameters_) parameter.zero_grad();
}

OptimizerState Optimizer::state() const {
  OptimizerState state{.step = steps_, .tensors = {}};
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].updates == 0) continue;
    state.tensors.emplace_back(slot_key(i, kUpdates),
                               Tensor::from(std::vector<int64_t>{slots_[i].updates}, {1}));
    for (size_t slot = 0; slot < slot_names_.size(); ++slot) {
      state.tensors.emplace_back(slot_key(i, slot_names_[slot]), slots_[i].tensors[slot]);
    }
  }
  return state;
}

void Optimizer::load_state(const OptimizerState& state) {
  std::map<std::string, Tensor> given(state.tensors.begin(), state.tensors.end());
  std::vector<Slots> loaded(slots_.size());
  for (size_t i = 0; i < loaded.size(); ++i) {
    loaded[i].tensors.resize(slot_names_.size());
    if (!given.contains(slot_key(i, kUpdates))) continue;  // this parameter has had no gradient yet
    loaded[i].updates = take(given, slot_key(i, kUpdates), {1}, DType::kI64).to_vector<int64_t>()[0];
    DS_CHECK(loaded[i].updates >= 1, "[optimizer] state \"{}\" is {}, expected at least 1",
             slot_key(i, kUpdates), loaded[i].updates);
    const Tensor& parameter = parameters_[i].value();
    for (size_t slot = 0; slot < slot_names_.size(); ++slot) {
      const Tensor source = take(given, slot_key(i, slot_names_[slot]), parameter.shape(), parameter.dtype());
      loaded[i].tensors[slot] = Tensor::like(parameter);
      loaded[i].tensors[slot].copy_from(source);
    }
  }
  DS_CHECK(given.empty(), "[optimizer] state \"{}\" does not belong to {} with {} parameters",
           given.begin()->first, describe(), parameters_.size());
  slots_ = std::move(loaded);
  steps_ = state.step;
}

std::vector<ParameterGroup> one_group(std::vector<Variable> parameters, double weight_decay) {
  return {{.parameters = std::move(parameters), .weight_decay = weight_decay}};
}

std::vector<ParameterGroup> without_empty(std::vector<ParameterGroup> groups) {
  std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters.empty(); });
  return groups;
}

std::vector<ParameterGroup> own_decays(std::vector<ParameterGroup> groups, double weight_decay) {
  DS_CHECK(weight_decay == 0.0,
           "[optimizer] weight decay {} beside parameter groups, expected each group to say its own",
           weight_decay);
  return groups;
}

}  // namespace ds
