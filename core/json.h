// JSON from files that anybody may have written.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace ds {

/// Parses text whose values are nested at most 32 deep: the library copies and prints them by recursion,
/// for which deeper ones would not leave room on the stack. Throws Error for those, and
/// nlohmann::json::parse_error for what is not JSON.
nlohmann::json parse_json(std::string_view text);

}  // namespace ds
