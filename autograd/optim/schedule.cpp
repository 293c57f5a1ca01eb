#include "autograd/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace ds {
namespace {

/// Half a cosine from `from` at progress 0 to `to` at progress 1, constant outside.
double cosine(double from, double to, double progress) {
  const double u = std::clamp(progress, 0.0, 1.0);
  return to + (from - to) * (1.0 + std::cos(std::numbers::pi * u)) / 2.0;
}

bool is_part(double value) { return value >= 0.0 && std::isfinite(value); }

}  // namespace

void Schedule::set_epoch(double epoch) {
  DS_CHECK(epoch >= 0.0 && std::isfinite(epoch), "[schedule] epoch is {}, expected finite and not negative",
           epoch);
  epoch_ = epoch;
  optimizer_.set_scheduled_lr(lr_at(epoch));
}

StepSchedule::StepSchedule(Optimizer& optimizer, const StepScheduleOptions& options)
    : Schedule(optimizer), options_(options) {
  DS_CHECK(options.step_size > 0.0 && is_part(options.gamma),
           "[step schedule] step_size is {} epochs and gamma {}, expected above 0 and not negative",
           options.step_size, options.gamma);
  set_epoch(0.0);
}

double StepSchedule::lr_at(double epoch) const {
  return base_lr() * std::pow(options_.gamma, std::floor(epoch / options_.step_size));
}

MultiStepSchedule::MultiStepSchedule(Optimizer& optimizer, const MultiStepScheduleOptions& options)
    : Schedule(optimizer), options_(options) {
  DS_CHECK(is_part(options.gamma), "[multi-step schedule] gamma is {}, expected finite and not negative",
           options.gamma);
  DS_CHECK(std::is_sorted(options.milestones.begin(), options.milestones.end()),
           "[multi-step schedule] milestones are not ascending");
  set_epoch(0.0);
}

double MultiStepSchedule::lr_at(double epoch) const {
  const auto passed = std::upper_bound(options_.milestones.begin(), options_.milestones.end(), epoch) -
                      options_.milestones.begin();
  return base_lr() * std::pow(options_.gamma, static_cast<double>(passed));
}

CosineSchedule::CosineSchedule(Optimizer& optimizer, const CosineScheduleOptions& options)
    : Schedule(optimizer), options_(options) {
  DS_CHECK(
      options.warmup_epochs >= 0.0 && options.warmup_epochs < options.epochs && std::isfinite(options.epochs),
      "[cosine schedule] {} epochs with a warm-up of {}, expected 0 <= warm-up < epochs", options.epochs,
      options.warmup_epochs);
  DS_CHECK(is_part(options.warmup_start) && is_part(options.min_lr),
           "[cosine schedule] warm-up starts at {} and the end is {}, expected finite and not negative",
           options.warmup_start, options.min_lr);
  set_epoch(0.0);
}

double CosineSchedule::lr_at(double epoch) const {
  const double warmup = options_.warmup_epochs;
  if (epoch < warmup) {
    return base_lr() * (options_.warmup_start + (1.0 - options_.warmup_start) * epoch / warmup);
  }
  return cosine(base_lr(), options_.min_lr, (epoch - warmup) / (options_.epochs - warmup));
}

OneCycleSchedule::OneCycleSchedule(Optimizer& optimizer, const OneCycleScheduleOptions& options)
    : Schedule(optimizer), options_(options) {
  DS_CHECK(options.epochs > 0.0 && std::isfinite(options.epochs) && options.pct_start > 0.0 &&
               options.pct_start < 1.0,
           "[one-cycle schedule] {} epochs, rising for {} of them, expected above 0 and between 0 and 1",
           options.epochs, options.pct_start);
  DS_CHECK(is_part(options.start) && is_part(options.end),
           "[one-cycle schedule] starts at {} and ends at {} of the learning rate, expected not negative",
           options.start, options.end);
  set_epoch(0.0);
}

double OneCycleSchedule::lr_at(double epoch) const {
  const double top = options_.pct_start * options_.epochs;
  const double lr = base_lr();
  return epoch < top ? cosine(options_.start * lr, lr, epoch / top)
                     : cosine(lr, options_.end * lr, (epoch - top) / (options_.epochs - top));
}

}  // namespace ds
