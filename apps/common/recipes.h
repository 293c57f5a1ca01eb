// Recipes: values for a trainer's options, by name (apps/recipes/NAME.json, built into the programs) or in a
// file of the same form. A recipe is one JSON object from option to value; "//" begins a comment.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ds::apps {

/// Those that are built in.
std::vector<std::string> recipe_names();
/// Throws Error that lists the names when there is neither such a recipe nor such a file, and naming the file
/// when it cannot be read.
nlohmann::json read_recipe(const std::string& name_or_path);

}  // namespace ds::apps
