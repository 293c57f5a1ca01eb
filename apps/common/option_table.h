// Command-line options that can also be written as JSON, read back, and compared: what a run was started with
// is kept in its folder, and resuming it with other settings is an error.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace ds::apps {

/// What an option decides.
enum class Effect : uint8_t {
  kResults,    // the numbers that a run computes: stored, and must be the same when it is resumed
  kResources,  // how they are computed, or where the data lie: stored, may be changed when it is resumed
  kCall        // what this call of the program does: not stored
};

class OptionTable {
 public:
  explicit OptionTable(CLI::App& app) : app_(&app) {}

  /// Options added from now on stand under this heading in --help.
  void group(std::string heading) { group_ = std::move(heading); }

  /// Adds "--name". A std::optional has no fixed default: its help says what decides.
  template <class T>
  CLI::Option* add(const std::string& name, T& value, const std::string& help, Effect effect) {
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<T, bool>) {
      option = app_->add_flag("--" + name, value, help);
    } else {
      option = app_->add_option("--" + name, value, help);
      option->capture_default_str();
    }
    rows_.push_back({.name = name,
                     .option = option->group(group_),
                     .effect = effect,
                     .get = [&value] { return to_json(value); },
                     .set = [&value](const nlohmann::json& json) { from_json(json, value); }});
    return option;
  }

  /// Two stored values of the option are the same when these are: "auto" and what it stands for.
  void compare_by(const std::string& name,
                  const std::function<nlohmann::json(const nlohmann::json&)>& canonical);

  /// Every stored option, or only those that change results, by name.
  nlohmann::json all() const;
  nlohmann::json recipe() const;
  /// Gives options that are not on the command line the stored value. Throws Error that names the option, the
  /// stored and the given value when one that changes results differs, unless `may_differ` lists it.
  void merge(const nlohmann::json& stored, const std::string& source,
             const std::vector<std::string>& may_differ = {});
  /// Gives options that are not on the command line these values; from then on they count as given. Throws
  /// Error naming the source when one is unknown or may not have its value.
  void take_defaults(const nlohmann::json& values, const std::string& source);
  bool given(const std::string& name) const;
  /// The first option on the command line that is not among these; empty when there is none.
  std::string first_given_beside(const std::vector<std::string>& names) const;

 private:
  struct Row {
    std::string name;
    CLI::Option* option;
    Effect effect;
    std::function<nlohmann::json()> get;
    std::function<void(const nlohmann::json&)> set;
    std::function<nlohmann::json(const nlohmann::json&)> canonical = {};  // nothing: the value itself

    bool same(const nlohmann::json& other) const {
      return canonical ? canonical(get()) == canonical(other) : get() == other;
    }
  };

  template <class T>
  static nlohmann::json to_json(const T& value) {
    return value;
  }
  template <class T>
  static nlohmann::json to_json(const std::optional<T>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json();
  }
  template <class T>
  static void from_json(const nlohmann::json& json, T& value) {
    json.get_to(value);
  }
  template <class T>
  static void from_json(const nlohmann::json& json, std::optional<T>& value) {
    value = json.is_null() ? std::nullopt : std::optional<T>(json.get<T>());
  }

  CLI::App* app_;
  std::string group_;
  std::vector<Row> rows_;
};

/// Validators whose messages say what was found and expected, and which no NaN passes. Numbers are decimal:
/// "010" and "0x10" are refused, and so is what does not fit into 64 bits.
CLI::Validator between(double low, double high);
CLI::Validator at_least(double low);
CLI::Validator above_zero();
CLI::Validator finite();
CLI::Validator not_empty();
CLI::Validator one_of(const std::vector<std::string>& names);

}  // namespace ds::apps
