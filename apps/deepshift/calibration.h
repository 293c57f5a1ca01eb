// Images of a training set that formats or weights are chosen by.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

#include "data/dataset.h"

namespace ds::apps {

struct CalibrationChoice {
  std::optional<int64_t> images = {};  // nothing: kUsualImages, or all where there are fewer
  uint64_t seed = 1;
};

/// --calibration-images and --seed.
void add_calibration(CLI::App& app, CalibrationChoice& choice);

inline constexpr int64_t kUsualImages = 512;

/// How many of those that there are. Throws Error where there are not so many as are asked for.
int64_t image_count(const CalibrationChoice& choice, int64_t available);

/// Chosen at random: their labels play no part.
Dataset choose_images(const Dataset& train, const CalibrationChoice& choice);

}  // namespace ds::apps
