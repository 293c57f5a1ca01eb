// The files of apps/recipes/ as text, by name; CMake writes the source from them.
#pragma once

#include <map>
#include <string>

namespace ds::apps {

const std::map<std::string, std::string>& built_in_recipes();

}  // namespace ds::apps
