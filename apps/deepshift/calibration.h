// Images of a training set that formats or weights are chosen by.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

#include "data/dataset.h"

namespace ds::apps {

struct CalibrationChoice {
  int64_t images = 512;
  uint64_t seed = 1;
};

/// --calibration-images and --seed.
void add_calibration(CLI::App& app, CalibrationChoice& choice);

/// Chosen at random: their labels play no part. Throws Error where there are not so many.
Dataset choose_images(const Dataset& train, const CalibrationChoice& choice);

}  // namespace ds::apps
