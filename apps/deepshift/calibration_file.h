// Sample images that another program has prepared, in place of a data set's.
#pragma once

#include <cstdint>
#include <string>

#include "apps/deepshift/calibration.h"
#include "core/tensor.h"

namespace ds::apps {

/// Whether a path names a safetensors file, and not a folder.
bool is_calibration_file(const std::string& path);

/// The tensor "input" or "images" of a safetensors file, f32 [N,C,H,W] as PyTorch has it and normalised
/// already: its first images, f32 [N,H,W,C], as many as the choice says. Other tensors are passed over.
/// Throws Error naming the file, what was found and what was expected, for another type or other images than
/// the network takes (`image`: H,W,C).
Tensor read_calibration_file(const std::string& path, const CalibrationChoice& choice, const Shape& image);

}  // namespace ds::apps
