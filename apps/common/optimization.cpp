#include "apps/common/optimization.h"

#include "autograd/optim/adam.h"
#include "autograd/optim/muon.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"

namespace ds::apps {

namespace {

// What stands beside Muon's matrices is updated as by the sgd recipe: lr 0.2 where that of the matrices is
// 0.03.
constexpr double kRateBesideMuon = 0.2 / 0.03;
constexpr double kDecayBesideMuon = 5e-4;

/// Filters that join channels: those of depthwise convolutions share nothing that could be orthogonal.
bool is_filter_matrix(const NamedParameter& parameter) {
  return parameter.layout.kind == FileLayout::Kind::kConvolution && parameter.value.shape()[3] > 1;
}

std::unique_ptr<Optimizer> make_muon(const TrainOptions& options, const Module& model) {
  ParameterGroup filters{.parameters = {}, .weight_decay = options.weight_decay.value()};
  ParameterGroup weights{.parameters = {}, .weight_decay = kDecayBesideMuon, .lr_scale = kRateBesideMuon};
  ParameterGroup rest{.parameters = {}, .lr_scale = kRateBesideMuon};
  for (const NamedParameter& parameter : model.named_parameters()) {
    ParameterGroup& group = is_filter_matrix(parameter)                ? filters
                            : parameter.role == ParameterRole::kWeight ? weights
                                                                       : rest;
    group.parameters.push_back(parameter.value);
  }
  return std::make_unique<Muon>(
      MuonGroups{.matrices = {std::move(filters)}, .others = {std::move(weights), std::move(rest)}},
      MuonOptions{.lr = options.lr.value(), .momentum = options.momentum});
}

}  // namespace

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
  if (*options.optimizer == "muon") return make_muon(options, model);
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
