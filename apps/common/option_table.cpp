#include "apps/common/option_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/error.h"

namespace ds::apps {

nlohmann::json OptionTable::all() const {
  nlohmann::json result = nlohmann::json::object();
  for (const Row& row : rows_) {
    if (row.effect != Effect::kCall) result[row.name] = row.get();
  }
  return result;
}

nlohmann::json OptionTable::recipe() const {
  nlohmann::json result = nlohmann::json::object();
  for (const Row& row : rows_) {
    if (row.effect == Effect::kResults) result[row.name] = row.get();
  }
  return result;
}

void OptionTable::merge(const nlohmann::json& stored, const std::string& source,
                        const std::vector<std::string>& may_differ) {
  for (const auto& [name, value] : stored.items()) {
    DS_CHECK(std::ranges::find(rows_, name, &Row::name) != rows_.end(),
             "[resume] {}: the run was started with --{} {}, which this program does not know", source, name,
             value.dump());
  }
  for (const Row& row : rows_) {
    if (!stored.contains(row.name)) continue;
    const nlohmann::json& before = stored.at(row.name);
    if (row.option->count() == 0) {
      try {
        row.set(before);
      } catch (const nlohmann::json::exception& error) {
        fail("[resume] {}: option '{}' holds {}: {}", source, row.name, before.dump(), error.what());
      }
    } else if (row.effect == Effect::kResults && !row.same(before) &&
               std::find(may_differ.begin(), may_differ.end(), row.name) == may_differ.end()) {
      fail("[resume] --{} {} was given, but the run in {} was started with {}", row.name, row.get().dump(),
           source, before.dump());
    }
  }
}

namespace {

/// A JSON value as it would stand on the command line.
std::string as_argument(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

void OptionTable::take_defaults(const nlohmann::json& values, const std::string& source) {
  for (const auto& [name, value] : values.items()) {
    const auto row = std::ranges::find(rows_, name, &Row::name);
    DS_CHECK(row != rows_.end(), "[recipe] {}: unknown option '{}'", source, name);
    if (row->option->count() > 0) continue;
    try {
      if (value.is_array()) {
        for (const nlohmann::json& item : value) row->option->add_result(as_argument(item));
      } else {
        row->option->add_result(as_argument(value));
      }
      row->option->run_callback();
    } catch (const CLI::Error& error) {
      fail("[recipe] {}: {}: {}", source, name, error.what());
    }
  }
}

bool OptionTable::given(const std::string& name) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const Row& row) { return row.name == name && row.option->count() > 0; });
}

std::string OptionTable::first_given_beside(const std::vector<std::string>& names) const {
  for (const Row& row : rows_) {
    if (row.option->count() > 0 && std::find(names.begin(), names.end(), row.name) == names.end())
      return row.name;
  }
  return {};
}

void OptionTable::compare_by(const std::string& name,
                             const std::function<nlohmann::json(const nlohmann::json&)>& canonical) {
  for (Row& row : rows_) {
    if (row.name == name) row.canonical = canonical;
  }
}

namespace {

constexpr double kLargest = 9e18;  // what an int64 holds

/// The parser of the command line would take these for octal and hexadecimal.
bool is_decimal(const std::string& text) {
  const std::string digits = text.substr(text.find_first_not_of("+-") == 1 ? 1 : 0);
  const bool leading_zero = digits.size() > 1 && digits[0] == '0' && std::isdigit(digits[1]) != 0;
  return !leading_zero && digits.find_first_of("xX") == std::string::npos;
}

/// A validator of a number by a condition that a NaN does not meet.
template <class Condition>
CLI::Validator number(const std::string& expected, Condition condition) {
  return {[=](std::string& text) {
            double value = NAN;
            const bool parsed = is_decimal(text) && CLI::detail::lexical_cast(text, value);
            return parsed && condition(value) ? std::string()
                                              : fmt::format("found {}, expected {}", text, expected);
          },
          expected};
}

}  // namespace

CLI::Validator between(double low, double high) {
  return number(fmt::format("{} to {}", low, high),
                [=](double value) { return value >= low && value <= high; });
}

CLI::Validator at_least(double low) {
  return number(fmt::format("{} or more", low),
                [=](double value) { return value >= low && value <= kLargest; });
}

CLI::Validator above_zero() {
  return number("a number above 0", [](double value) { return value > 0.0 && std::isfinite(value); });
}

CLI::Validator finite() {
  return number("a number", [](double value) { return std::isfinite(value); });
}

CLI::Validator not_empty() {
  return {[](std::string& text) { return text.empty() ? std::string("is empty") : std::string(); }, ""};
}

CLI::Validator one_of(const std::vector<std::string>& names) {
  const std::string expected = fmt::format("{}", fmt::join(names, "|"));
  return {[=](std::string& text) {
            const bool known = std::find(names.begin(), names.end(), text) != names.end();
            return known ? std::string() : fmt::format("found '{}', expected {}", text, expected);
          },
          expected};
}

}  // namespace ds::apps
