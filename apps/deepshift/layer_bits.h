// --layer-bits of the commands that round float weights: other bits of some layers.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace ds::apps {

/// Adds the option, whose values are LAYER=BITS.
void add_layer_bits(CLI::App& app, std::vector<std::string>& values);
/// Bits by path (ConvertOptions::layer_bits). Throws Error for a value of another form, and for a path given
/// twice.
std::map<std::string, int> parse_layer_bits(const std::vector<std::string>& values);

}  // namespace ds::apps
