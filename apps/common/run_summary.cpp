#include "apps/common/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/common/run_folder.h"
#include "core/error.h"
#include "layers/weighted_layer.h"

namespace ds::apps {

WeightStorage weight_storage(Module& model) {
  constexpr int64_t kFloatBytes = 4;
  WeightStorage storage;
  double bits = 0.0;
  for (const NamedLayer& named : weighted_layers(model)) {
    const int64_t count = named.layer->weight().shape().numel();
    const auto format = named.layer->weight().format();
    storage.weights += count;
    storage.bytes += format ? packed_bytes(count, *format) : kFloatBytes * count;
    bits += static_cast<double>(count) *
            static_cast<double>(format ? format->bits_per_weight() : 8 * kFloatBytes);
  }
  storage.bits_per_weight = bits / static_cast<double>(std::max<int64_t>(storage.weights, 1));
  return storage;
}

nlohmann::ordered_json to_json(const RunSummary& summary) {
  return {{"arch", summary.arch},
          {"dataset", summary.dataset},
          {"method", summary.method},
          {"activation_bits", summary.activation_bits},
          {"epochs", summary.epochs},
          {"best_epoch", summary.best_epoch},
          {"chosen_on_held_out_images", summary.held_out},
          {"test_accuracy", summary.test.accuracy()},
          {"correct", summary.test.correct},
          {"total", summary.test.total},
          {"weights", summary.storage.weights},
          {"bits_per_weight", summary.storage.bits_per_weight},
          {"weight_bytes", summary.storage.bytes},
          {"seconds", summary.seconds},
          {"peak_memory_bytes", summary.peak_memory}};
}

RunSummary read_summary(const std::string& folder) {
  namespace fs = std::filesystem;
  const std::string path = folder + "/summary.json";
  DS_CHECK(fs::exists(path), "[compare] {}: not found; a run writes it when it ends", path);
  const nlohmann::json json = read_json(path);
  RunSummary summary;
  try {
    summary.run = fs::path(folder).lexically_normal().filename().string();
    if (summary.run.empty())
      summary.run = fs::path(folder).lexically_normal().parent_path().filename().string();
    json.at("arch").get_to(summary.arch);
    json.at("dataset").get_to(summary.dataset);
    json.at("method").get_to(summary.method);
    json.at("activation_bits").get_to(summary.activation_bits);
    json.at("epochs").get_to(summary.epochs);
    json.at("best_epoch").get_to(summary.best_epoch);
    json.at("chosen_on_held_out_images").get_to(summary.held_out);
    json.at("correct").get_to(summary.test.correct);
    json.at("total").get_to(summary.test.total);
    json.at("weights").get_to(summary.storage.weights);
    json.at("bits_per_weight").get_to(summary.storage.bits_per_weight);
    json.at("weight_bytes").get_to(summary.storage.bytes);
    json.at("seconds").get_to(summary.seconds);
    summary.peak_memory = json.value("peak_memory_bytes", int64_t{0});  // earlier runs do not say it
  } catch (const nlohmann::json::exception& error) {
    fail("[compare] {}: {}", path, error.what());
  }
  return summary;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows, bool markdown) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      line += fmt::format("{}{:<{}}", markdown ? "| " : "", rows[r][i], widths[i] + (markdown ? 1 : 2));
    }
    if (!markdown) line.erase(line.find_last_not_of(' ') + 1);
    text += line + (markdown ? "|\n" : "\n");
    if (markdown && r == 0) {
      for (size_t i = 0; i < widths.size(); ++i) text += fmt::format("|{:-<{}}", "", widths[i] + 2);
      text += "|\n";
    }
  }
  return text;
}

namespace {

/// A bar would end the cell.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

}  // namespace

std::string compare(const std::vector<RunSummary>& runs, bool markdown) {
  std::vector<std::vector<std::string>> rows = {{"run", "network", "data", "weights", "activations", "epoch",
                                                 "top-1", "correct", "bits/weight", "weight bytes",
                                                 "seconds"}};
  for (const RunSummary& run : runs) {
    rows.push_back(
        {markdown ? escaped(run.run) : run.run, run.arch, run.dataset, run.method,
         run.activation_bits.empty() ? "float" : run.activation_bits,
         fmt::format("{} of {}, {}", run.best_epoch, run.epochs, run.held_out ? "held out" : "last"),
         fmt::format("{:.2f} %", 100.0 * run.test.accuracy()),
         fmt::format("{}/{}", run.test.correct, run.test.total),
         fmt::format("{:.2f}", run.storage.bits_per_weight), std::to_string(run.storage.bytes),
         fmt::format("{:.1f}", run.seconds)});
  }
  return format_table(rows, markdown);
}

}  // namespace ds::apps
