// What is known of each epoch, as a line of metrics.jsonl and as curves.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/plot.h"
#include "models/evaluate.h"

namespace ds::apps {

/// "9173/10000 (91.73 %)".
std::string score(const Evaluation& evaluation);
/// "top-1 222/334 (66.47 %), 95 % interval 61.2 to 71.3 %" and, of more than 10 classes, a line for top-5.
/// The interval is Wilson's (1927).
std::string accuracy_report(const Evaluation& evaluation);

/// One finished epoch.
struct EpochRecord {
  int64_t epoch = 0;            // from 1
  double loss = 0.0;            // mean cross-entropy over the epoch's training images
  double train_accuracy = 0.0;  // of the network in training mode, as it changed
  Evaluation evaluated;  // of the held-out training images where there are any, of the test images otherwise
  bool held_out = false;
  double lr = 0.0;       // of the last step
  double seconds = 0.0;  // of training, without evaluation
  double images_per_s = 0.0;
  double waiting = 0.0;  // share of the seconds in which no batch was ready

  /// One line of metrics.jsonl. Timings are left out of checkpoints, which hold the same bits for every run.
  nlohmann::ordered_json to_json(bool timings) const;
  static EpochRecord from_json(const nlohmann::json& json);
};

/// The epoch whose model is kept: the first with the most right answers on held-out images; without those the
/// last.
int64_t best_epoch(const std::vector<EpochRecord>& records);
std::string to_jsonl(const std::vector<EpochRecord>& records);
/// Throws Error naming the file and line.
std::vector<EpochRecord> read_jsonl(const std::string& path);
/// Loss and accuracy over epochs.
std::vector<Chart> training_curves(const std::vector<EpochRecord>& records);

}  // namespace ds::apps
