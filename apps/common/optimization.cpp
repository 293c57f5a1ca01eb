#include "apps/common/optimization.h"

#include <vector>

#include "autograd/optim/adam.h"
#include "autograd/optim/muon.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"
#include "layers/parameter_groups.h"

namespace ds::apps {

namespace {

// What stands beside Muon's matrices is updated as by the sgd recipe, lr 0.2.
constexpr double kRateBesideMuon = 0.2 / kMuonRate;
constexpr double kDecayBesideMuon = 5e-4;
// P and S of every layer are matrices: at kMuonRate, steps of 0.012 octaves and 0.06 of a sign (root mean
// square; docs/decisions/0010-muon.md).
constexpr double kShiftRate = 2.0;
constexpr double kSignRate = 10.0;
// S shrinks by as much a step as filters do. Free, it grows to 20, out of reach of steps of 0.06.
constexpr double kSignDecay = kMuonDecay / kSignRate;

/// Of the filters beside those of other weights: so few bits have no power of two near 0, and the smallest,
/// 2^-7 of four bits, is small only beside larger weights (docs/decisions/0010-muon.md).
double filter_size(const TrainOptions& options) {
  constexpr int kFewBits = 4;
  return options.method == "q" && options.weight_bits <= kFewBits ? 2.0 : 1.0;
}

/// Filters that join channels: those of depthwise convolutions share nothing that could be orthogonal.
bool is_filter_matrix(const NamedParameter& parameter) {
  return parameter.layout.kind == FileLayout::Kind::kConvolution && parameter.value.shape()[3] > 1;
}

std::unique_ptr<Optimizer> make_muon(const TrainOptions& options, const Module& model) {
  // That of ps is P's, in the loss: filters that stay float do not share it.
  const double filter_decay = options.method == "ps" ? kMuonDecay : options.weight_decay.value();
  // Updates and filters of another size, turned by the same angle a step.
  const double size = filter_size(options);
  ParameterGroup filters{.parameters = {}, .weight_decay = filter_decay / size, .lr_scale = size};
  ParameterGroup shifts{.parameters = {}, .lr_scale = kShiftRate};
  ParameterGroup signs{.parameters = {}, .weight_decay = kSignDecay, .lr_scale = kSignRate};
  ParameterGroup weights{.parameters = {}, .weight_decay = kDecayBesideMuon, .lr_scale = kRateBesideMuon};
  ParameterGroup rest{.parameters = {}, .lr_scale = kRateBesideMuon};
  const auto group_of = [&](const NamedParameter& parameter) -> ParameterGroup& {
    switch (parameter.role) {
      case ParameterRole::kWeight: return is_filter_matrix(parameter) ? filters : weights;
      case ParameterRole::kShift: return shifts;
      case ParameterRole::kSign: return signs;
      default: return rest;
    }
  };
  for (const NamedParameter& parameter : model.named_parameters()) {
    group_of(parameter).parameters.push_back(parameter.value);
  }
  return std::make_unique<Muon>(MuonGroups{.matrices = without_empty({filters, shifts, signs}),
                                           .others = without_empty({weights, rest})},
                                MuonOptions{.lr = options.lr.value(), .momentum = options.momentum});
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options, const Module& model) {
  if (*options.optimizer == "muon") return make_muon(options, model);
  auto groups = parameter_groups(model, options.weight_decay.value());
  const double lr = options.lr.value();
  const std::string& name = options.optimizer.value();
  if (name == "adam") return std::make_unique<Adam>(std::move(groups), AdamOptions{.lr = lr});
  if (name == "adamw") return std::make_unique<AdamW>(std::move(groups), AdamOptions{.lr = lr});
  if (name == "radam") return std::make_unique<RAdam>(std::move(groups), RAdamOptions{.lr = lr});
  if (name == "sgd") {
    return std::make_unique<Sgd>(
        std::move(groups), SgdOptions{.lr = lr, .momentum = options.momentum, .nesterov = options.nesterov});
  }
  fail("[options] there is no optimizer '{}'", name);
}

std::unique_ptr<Schedule> make_schedule(const TrainOptions& options, Optimizer& optimizer) {
  const auto epochs = static_cast<double>(options.epochs);
  if (options.schedule == "step") {
    const auto step_size = static_cast<double>(options.step_epochs.value());
    return std::make_unique<StepSchedule>(
        optimizer, StepScheduleOptions{.step_size = step_size, .gamma = options.gamma});
  }
  if (options.schedule == "multistep") {
    MultiStepScheduleOptions steps{.milestones = {}, .gamma = options.gamma};
    steps.milestones.assign(options.milestones.begin(), options.milestones.end());
    return std::make_unique<MultiStepSchedule>(optimizer, steps);
  }
  if (options.schedule == "onecycle") {
    return std::make_unique<OneCycleSchedule>(optimizer, OneCycleScheduleOptions{.epochs = epochs});
  }
  if (options.schedule == "constant") {
    return std::make_unique<StepSchedule>(optimizer, StepScheduleOptions{.step_size = epochs, .gamma = 1.0});
  }
  if (options.schedule == "cosine") {
    return std::make_unique<CosineSchedule>(
        optimizer, CosineScheduleOptions{.epochs = epochs, .warmup_epochs = options.warmup_epochs.value()});
  }
  fail("[options] there is no schedule '{}'", options.schedule);
}

}  // namespace ds::apps
