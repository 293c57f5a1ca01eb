#include "apps/common/run_state.h"

#include <algorithm>

#include "core/error.h"
#include "layers/checkpoint.h"

namespace ds::apps {

std::string RunState::to_json() const {
  nlohmann::json finished = nlohmann::json::array();
  for (const EpochRecord& record : records) finished.push_back(nlohmann::json(record.to_json(false)));
  return nlohmann::json{{"recipe", recipe},
                        {"records", finished},
                        {"best_epoch", best_epoch},
                        {"train_images", train_images},
                        {"ema_updates", ema_updates},
                        {"partial",
                         {{"loss_sum", partial.loss_sum},
                          {"correct", partial.correct},
                          {"images", partial.images},
                          {"seconds", partial.seconds}}}}
      .dump();
}

RunState RunState::from_json(const std::string& text, const std::string& path) {
  RunState state;
  try {
    const auto json = nlohmann::json::parse(text);
    state.recipe = json.at("recipe");
    for (const auto& record : json.at("records")) state.records.push_back(EpochRecord::from_json(record));
    json.at("best_epoch").get_to(state.best_epoch);
    json.at("train_images").get_to(state.train_images);
    json.at("ema_updates").get_to(state.ema_updates);
    const auto& partial = json.at("partial");
    partial.at("loss_sum").get_to(state.partial.loss_sum);
    partial.at("correct").get_to(state.partial.correct);
    partial.at("images").get_to(state.partial.images);
    partial.at("seconds").get_to(state.partial.seconds);
  } catch (const nlohmann::json::exception& error) {
    fail("[resume] {}: the state of the run cannot be read: {}", path, error.what());
  }
  return state;
}

void RunState::take_timings(const std::vector<EpochRecord>& timed) {
  for (size_t i = 0; i < std::min(records.size(), timed.size()); ++i) {
    records[i].seconds = timed[i].seconds;
    records[i].images_per_s = timed[i].images_per_s;
  }
}

RunState read_run_state(const std::string& path) {
  const SafetensorsFile file(path);
  const TrainingState training = read_training_state(file);
  RunState state = RunState::from_json(training.run, path);
  state.epoch = training.epoch;
  state.batch = training.batch;
  return state;
}

}  // namespace ds::apps
