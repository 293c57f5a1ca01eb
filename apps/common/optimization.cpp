#include "apps/common/optimization.h"

#include "autograd/optim/adam.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"

namespace ds::apps {

std::vector<ParameterGroup> parameter_groups(const Module& model, double weight_decay) {
  ParameterGroup decayed{.parameters = {}, .weight_decay = weight_decay};
  ParameterGroup kept;
  for (const NamedParameter& parameter : model.named_parameters()) {
    (parameter.role == ParameterRole::kWeight ? decayed : kept).parameters.push_back(parameter.value);
  }
  std::vector<ParameterGroup> groups;
  for (ParameterGroup& group : {std::ref(decayed), std::ref(kept)}) {
    if (!group.parameters.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options, const Module& model) {
  auto groups = parameter_groups(model, options.weight_decay.value());
  const double lr = options.lr.value();
  const std::string& name = options.optimizer.value();
  if (name == "adam") return std::make_unique<Adam>(std::move(groups), AdamOptions{.lr = lr});
  if (name == "adamw") return std::make_unique<AdamW>(std::move(groups), AdamOptions{.lr = lr});
  if (name == "radam") return std::make_unique<RAdam>(std::move(groups), RAdamOptions{.lr = lr});
  return std::make_unique<Sgd>(
      std::move(groups), SgdOptions{.lr = lr, .momentum = options.momentum, .nesterov = options.nesterov});
}

std::unique_ptr<Schedule> make_schedule(const TrainOptions& options, Optimizer& optimizer) {
  const auto epochs = static_cast<double>(options.epochs);
  if (options.schedule == "step") {
    const auto every = static_cast<double>(options.step_epochs.value());
    return std::make_unique<StepSchedule>(optimizer,
                                          StepScheduleOptions{.every = every, .factor = options.gamma});
  }
  if (options.schedule == "multistep") {
    MultiStepScheduleOptions steps{.milestones = {}, .factor = options.gamma};
    steps.milestones.assign(options.milestones.begin(), options.milestones.end());
    return std::make_unique<MultiStepSchedule>(optimizer, steps);
  }
  if (options.schedule == "onecycle") {
    return std::make_unique<OneCycleSchedule>(optimizer, OneCycleScheduleOptions{.epochs = epochs});
  }
  if (options.schedule == "constant") {
    return std::make_unique<StepSchedule>(optimizer, StepScheduleOptions{.every = epochs, .factor = 1.0});
  }
  return std::make_unique<CosineSchedule>(
      optimizer, CosineScheduleOptions{.epochs = epochs, .warmup_epochs = options.warmup_epochs.value()});
}

}  // namespace ds::apps
