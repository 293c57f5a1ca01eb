#include "apps/common/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "core/error.h"

namespace ds::apps {

namespace {

std::string share(int64_t count, int64_t total) {
  return fmt::format("{}/{} ({:.2f} %)", count, total,
                     100.0 * static_cast<double>(count) / static_cast<double>(total));
}

/// With Wilson's interval: p is in it when the count is within z deviations of what p lets expect.
std::string share_with_interval(int64_t count, int64_t total) {
  constexpr double kZ = 1.96;  // 95 % of the normal distribution
  const auto n = static_cast<double>(total);
  const double p = static_cast<double>(count) / n;
  const double centre = p + kZ * kZ / (2.0 * n);
  const double half = kZ * std::sqrt(p * (1.0 - p) / n + kZ * kZ / (4.0 * n * n));
  const double scale = 100.0 / (1.0 + kZ * kZ / n);
  return fmt::format("{}, 95 % interval {:.1f} to {:.1f} %", share(count, total),
                     scale * std::max(0.0, centre - half), scale * (centre + half));
}

}  // namespace

std::string score(const Evaluation& evaluation) { return share(evaluation.correct, evaluation.total); }

std::string accuracy_report(const Evaluation& evaluation) {
  std::string report = "top-1 " + share_with_interval(evaluation.correct, evaluation.total);
  if (evaluation.correct5) report += "\ntop-5 " + share_with_interval(*evaluation.correct5, evaluation.total);
  return report;
}

nlohmann::ordered_json EpochRecord::to_json(bool timings) const {
  nlohmann::ordered_json json;
  json["epoch"] = epoch;
  json["loss"] = loss;
  json["train_accuracy"] = train_accuracy;
  json[held_out ? "holdout_loss" : "test_loss"] = evaluated.loss;
  json[held_out ? "holdout_accuracy" : "test_accuracy"] = evaluated.accuracy();
  json["correct"] = evaluated.correct;
  json["total"] = evaluated.total;
  json["lr"] = lr;
  if (timings) {
    json["seconds"] = seconds;
    json["images_per_s"] = images_per_s;
    json["waiting"] = waiting;
  }
  return json;
}

namespace {

/// JSON has no number for a loss that is not finite: it is written as null.
double loss_of(const nlohmann::json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

}  // namespace

EpochRecord EpochRecord::from_json(const nlohmann::json& json) {
  EpochRecord record;
  json.at("epoch").get_to(record.epoch);
  record.loss = loss_of(json.at("loss"));
  json.at("train_accuracy").get_to(record.train_accuracy);
  json.at("correct").get_to(record.evaluated.correct);
  json.at("total").get_to(record.evaluated.total);
  json.at("lr").get_to(record.lr);
  record.held_out = json.contains("holdout_loss");
  record.evaluated.loss = loss_of(json.at(record.held_out ? "holdout_loss" : "test_loss"));
  record.seconds = json.value("seconds", 0.0);
  record.images_per_s = json.value("images_per_s", 0.0);
  record.waiting = json.value("waiting", 0.0);
  return record;
}

int64_t best_epoch(const std::vector<EpochRecord>& records) {
  if (records.empty()) return 0;
  if (!records.back().held_out) return records.back().epoch;
  const auto fewer = [](const EpochRecord& a, const EpochRecord& b) {
    return a.evaluated.correct < b.evaluated.correct;
  };
  return std::max_element(records.begin(), records.end(), fewer)->epoch;
}

std::string to_jsonl(const std::vector<EpochRecord>& records) {
  std::string text;
  for (const EpochRecord& record : records) text += record.to_json(true).dump() + "\n";
  return text;
}

std::vector<EpochRecord> read_jsonl(const std::string& path) {
  std::ifstream file(path);
  std::vector<EpochRecord> records;
  for (std::string line; std::getline(file, line);) {
    try {
      records.push_back(EpochRecord::from_json(nlohmann::json::parse(line)));
    } catch (const nlohmann::json::exception& error) {
      fail("[metrics] {}: line {} is not a record of an epoch: {}", path, records.size() + 1, error.what());
    }
  }
  return records;
}

std::vector<Chart> training_curves(const std::vector<EpochRecord>& records) {
  const std::string other = !records.empty() && records.front().held_out ? "held out" : "test";
  const std::vector<Series> series = {{"training", {}}, {other, {}}};
  Chart loss{.title = "Cross-entropy", .x_label = "epoch", .y_label = "loss", .x = {}, .series = series};
  Chart accuracy{
      .title = "Top-1 accuracy", .x_label = "epoch", .y_label = "accuracy, %", .x = {}, .series = series};
  for (const EpochRecord& record : records) {
    loss.x.push_back(static_cast<double>(record.epoch));
    loss.series[0].values.push_back(record.loss);
    loss.series[1].values.push_back(record.evaluated.loss);
    accuracy.series[0].values.push_back(100.0 * record.train_accuracy);
    accuracy.series[1].values.push_back(100.0 * record.evaluated.accuracy());
  }
  accuracy.x = loss.x;
  return {loss, accuracy};
}

}  // namespace ds::apps
