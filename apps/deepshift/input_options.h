// Options that several commands have: how the images that they look at are named and normalised, and threads.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "apps/common/model_input.h"

namespace ds::apps {

/// --dataset.
void add_dataset(CLI::App& app, std::string& dataset);
/// --class-names.
void add_class_names(CLI::App& app, std::string& file);
/// --dataset, --image-size, --class-names, --mean and --std.
void add_input_choice(CLI::App& app, InputChoice& choice);

/// --threads.
void add_threads(CLI::App& app, int& threads);

}  // namespace ds::apps
