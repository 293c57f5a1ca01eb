#include "core/json.h"

#include "core/error.h"

namespace ds {

namespace {

constexpr int kDeepest = 32;

}  // namespace

nlohmann::json parse_json(std::string_view text) {
  return nlohmann::json::parse(text, [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    DS_CHECK(depth <= kDeepest, "[json] values are nested more than {} deep", kDeepest);
    return true;
  });
}

}  // namespace ds
