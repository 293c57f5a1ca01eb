#include "apps/common/run_state.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
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
    const auto json = parse_json(text);
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
  DS_CHECK(state.recipe.is_object(), "[resume] {}: the recipe of the run is not an object of options", path);
  return state;
}

void RunState::check(const std::string& path) const {
  const auto at_least_0 = [&](const char* name, int64_t value) {
    DS_CHECK(value >= 0, "[resume] {}: {} is {}, expected 0 or more", path, name, value);
  };
  at_least_0("epoch", epoch);
  at_least_0("batch", batch);
  at_least_0("ema_updates", ema_updates);
  at_least_0("partial images", partial.images);
  DS_CHECK(static_cast<int64_t>(records.size()) == epoch,
           "[resume] {}: {} epochs are done, but {} are recorded", path, epoch, records.size());
  DS_CHECK(best_epoch == ds::apps::best_epoch(records),
           "[resume] {}: the best epoch is {}, but the records say {}", path, best_epoch,
           ds::apps::best_epoch(records));
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
  state.check(path);
  return state;
}

}  // namespace ds::apps
