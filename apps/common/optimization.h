// Optimizer and schedule from the trainers' options.
#pragma once

#include <memory>

#include "apps/common/train_options.h"
#include "autograd/optim/optimizer.h"
#include "autograd/optim/schedule.h"
#include "layers/module.h"

namespace ds::apps {

/// Of filters by Muon, unless other ones are asked for (docs/decisions/0010-muon.md).
constexpr double kMuonRate = 0.03;
constexpr double kMuonDecay = 0.1;
/// Of 4^P beside Muon, in the loss.
constexpr double kMuonShiftDecay = 5e-4;

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options, const Module& model);
std::unique_ptr<Schedule> make_schedule(const TrainOptions& options, Optimizer& optimizer);

}  // namespace ds::apps
