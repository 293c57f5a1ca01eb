#include "apps/common/recipes.h"

#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "apps/common/built_in_recipes.h"
#include "core/error.h"

namespace ds::apps {
namespace {

std::string text_of(const std::string& name_or_path) {
  const auto& recipes = built_in_recipes();
  if (const auto found = recipes.find(name_or_path); found != recipes.end()) return found->second;
  DS_CHECK(std::filesystem::is_regular_file(name_or_path),
           "[recipe] '{}' is neither a recipe nor a file, expected one of {}, or a JSON file", name_or_path,
           fmt::join(recipe_names(), ", "));
  std::ifstream file(name_or_path);
  std::ostringstream text;
  text << file.rdbuf();
  DS_CHECK(file.good(), "[recipe] {}: cannot be read", name_or_path);
  return text.str();
}

}  // namespace

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : built_in_recipes()) names.push_back(name);
  return names;
}

nlohmann::json read_recipe(const std::string& name_or_path) {
  try {
    nlohmann::json recipe = nlohmann::json::parse(text_of(name_or_path), nullptr, /*allow_exceptions=*/true,
                                                  /*ignore_comments=*/true);
    DS_CHECK(recipe.is_object(), "[recipe] {}: not an object of options and values", name_or_path);
    return recipe;
  } catch (const nlohmann::json::exception& error) {
    fail("[recipe] {}: {}", name_or_path, error.what());
  }
}

}  // namespace ds::apps
