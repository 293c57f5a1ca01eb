// Where a training run stands: what its checkpoint holds beside the model, the optimizer and the generator.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/metrics.h"

namespace ds::apps {

/// Sums over the finished batches of the current epoch.
struct PartialEpoch {
  double loss_sum = 0.0;  // over images
  int64_t correct = 0;
  int64_t images = 0;
  double seconds = 0.0;
};

struct RunState {
  int64_t epoch = 0;  // finished epochs
  int64_t batch = 0;  // finished batches of the current epoch
  PartialEpoch partial;
  std::vector<EpochRecord> records;  // one a finished epoch
  int64_t best_epoch = 0;            // from 1; 0 before the first epoch ends
  int64_t train_images = 0;
  int64_t ema_updates = 0;
  nlohmann::json recipe;  // the options that decide the run's numbers

  /// Epoch and batch are not in it: TrainingState holds them. Timings of finished epochs are not either, so
  /// that equal runs have equal checkpoints; metrics.jsonl has them.
  std::string to_json() const;
  /// Throws Error naming the file.
  static RunState from_json(const std::string& text, const std::string& path);
  /// Throws Error naming the file when its numbers contradict each other.
  void check(const std::string& path) const;
  /// Takes over the timings of epochs that both have.
  void take_timings(const std::vector<EpochRecord>& timed);
};

/// The state in a checkpoint. Throws Error when the file is no training checkpoint.
RunState read_run_state(const std::string& path);

}  // namespace ds::apps
