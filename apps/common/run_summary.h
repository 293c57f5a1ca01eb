// The result of a run: summary.json, and tables made from several.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/metrics.h"
#include "layers/module.h"

namespace ds::apps {

/// What the weights of all convolutions and linear layers take: packed codes for shift weights, 32 bits for
/// floats. Biases and batch norm are not counted.
struct WeightStorage {
  int64_t weights = 0;
  int64_t bytes = 0;
  double bits_per_weight = 0.0;
};
WeightStorage weight_storage(Module& model);

/// What `deepshift compare` shows of a run.
struct RunSummary {
  std::string run = {};  // the folder's name
  std::string arch = {};
  std::string dataset = {};
  std::string method = {};  // "float", "q5", "ps4"
  std::string activation_bits = {};
  int64_t epochs = 0;
  int64_t best_epoch = 0;
  bool held_out = false;  // how the epoch was chosen: on held-out training images, or the last one
  Evaluation test = {};
  WeightStorage storage = {};
  double seconds = 0.0;  // of training
  int64_t peak_memory =
      0;  // bytes of tensors on the device, at most, in the process that ended the run; 0: unknown
};

nlohmann::ordered_json to_json(const RunSummary& summary);
/// Reads summary.json of a run's folder. Throws Error naming the file.
RunSummary read_summary(const std::string& folder);

/// Rows of cells with columns aligned, for the terminal or as Markdown; the first row is the heading.
std::string format_table(const std::vector<std::vector<std::string>>& rows, bool markdown);
std::string compare(const std::vector<RunSummary>& runs, bool markdown);

}  // namespace ds::apps
