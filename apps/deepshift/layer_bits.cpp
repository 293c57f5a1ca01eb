#include "apps/deepshift/layer_bits.h"

#include <charconv>

#include "core/error.h"

namespace ds::apps {

void add_layer_bits(CLI::App& app, std::vector<std::string>& values) {
  app.add_option("--layer-bits", values,
                 "LAYER=BITS: other bits of a layer, or of all layers of a module, by path (layer3=3 fc=5)");
}

std::map<std::string, int> parse_layer_bits(const std::vector<std::string>& values) {
  std::map<std::string, int> bits;
  for (const std::string& value : values) {
    const size_t equals = value.find('=');
    const std::string path = value.substr(0, equals);
    const std::string number = equals == std::string::npos ? "" : value.substr(equals + 1);
    int count = 0;
    const auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), count);
    DS_CHECK(!path.empty() && status == std::errc{} && end == number.data() + number.size(),
             "[options] --layer-bits is \"{}\", expected LAYER=BITS", value);
    DS_CHECK(bits.emplace(path, count).second, "[options] --layer-bits gives \"{}\" twice", path);
  }
  return bits;
}

}  // namespace ds::apps
