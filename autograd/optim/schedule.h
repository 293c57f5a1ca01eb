// Learning rate schedules: pure functions of the training's progress, counted in epochs.
//
// Trainers may call step() once an epoch, or set_epoch(epoch + fraction) before every step. The position in
// epochs is the whole state: to resume, make the schedule anew and set it.
//
// lr0 is the optimizer's base learning rate (Optimizer::base_lr) when the schedule is made, e the epoch,
// 0 <= e.
#pragma once

#include <vector>

#include "autograd/optim/optimizer.h"

namespace ds {

class Schedule {
 public:
  virtual ~Schedule() = default;
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  /// The learning rate at an epoch.
  virtual double lr_at(double epoch) const = 0;
  /// Moves on by one epoch.
  void step() { set_epoch(epoch_ + 1.0); }
  /// Moves to an epoch and sets the optimizer's learning rate. Throws Error unless 0 <= epoch < infinity.
  void set_epoch(double epoch);
  double epoch() const { return epoch_; }
  double base_lr() const { return base_lr_; }

 protected:
  /// The optimizer must outlive the schedule. Derived constructors end with set_epoch(0).
  explicit Schedule(Optimizer& optimizer) : optimizer_(optimizer), base_lr_(optimizer.base_lr()) {}

 private:
  Optimizer& optimizer_;
  double base_lr_;
  double epoch_ = 0.0;
};

struct StepScheduleOptions {
  double step_size = 30.0;  // epochs
  double gamma = 0.1;
};
/// lr0 gamma^floor(e / step_size).
class StepSchedule : public Schedule {
 public:
  StepSchedule(Optimizer& optimizer, const StepScheduleOptions& options);
  double lr_at(double epoch) const override;

 private:
  StepScheduleOptions options_;
};

struct MultiStepScheduleOptions {
  std::vector<double> milestones = {};  // epochs, ascending
  double gamma = 0.1;
};
/// lr0 gamma^(number of milestones <= e).
class MultiStepSchedule : public Schedule {
 public:
  MultiStepSchedule(Optimizer& optimizer, const MultiStepScheduleOptions& options);
  double lr_at(double epoch) const override;

 private:
  MultiStepScheduleOptions options_;
};

struct CosineScheduleOptions {
  double epochs = 30.0;        // in all, the warm-up included
  double warmup_epochs = 0.0;  // 0 <= warmup_epochs < epochs
  double warmup_start = 0.1;   // the first learning rate as a part of lr0
  double min_lr = 0.0;
};
/// Warm-up: linear from warmup_start lr0 to lr0. Then min_lr + (lr0 - min_lr) (1 + cos(pi u)) / 2 with
/// u = (e - warmup_epochs) / (epochs - warmup_epochs), at most 1 (Loshchilov and Hutter 2017).
class CosineSchedule : public Schedule {
 public:
  CosineSchedule(Optimizer& optimizer, const CosineScheduleOptions& options);
  double lr_at(double epoch) const override;

 private:
  CosineScheduleOptions options_;
};

struct OneCycleScheduleOptions {
  double epochs = 30.0;
  double pct_start = 0.3;     // the part of the epochs in which the learning rate rises, 0 < pct_start < 1
  double start = 1.0 / 25.0;  // the first learning rate as a part of lr0, the highest
  double end = 4e-6;          // the last one as a part of lr0
};
/// Half a cosine from start lr0 up to lr0, another from there down to end lr0 (Smith and Topin 2018;
/// PyTorch's defaults).
class OneCycleSchedule : public Schedule {
 public:
  OneCycleSchedule(Optimizer& optimizer, const OneCycleScheduleOptions& options);
  double lr_at(double epoch) const override;

 private:
  OneCycleScheduleOptions options_;
};

}  // namespace ds
