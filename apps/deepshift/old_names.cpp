#include "apps/deepshift/old_names.h"

#include <array>

namespace ds::apps {
namespace {

/// "denselayer3.norm.1.weight" as "denselayer3.norm1.weight".
void drop_point_within(std::string& name) {
  if (name.find("denselayer") == std::string::npos) return;
  for (const char* old : std::array{".norm.1.", ".norm.2.", ".conv.1.", ".conv.2."}) {
    constexpr size_t kPoint = 5;  // its place
    if (const size_t found = name.find(old); found != std::string::npos) name.erase(found + kPoint, 1);
  }
}

}  // namespace

std::vector<TensorSpec> with_names_of_today(std::vector<TensorSpec> tensors) {
  for (TensorSpec& tensor : tensors) drop_point_within(tensor.name);
  return tensors;
}

}  // namespace ds::apps
