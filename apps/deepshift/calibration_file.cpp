#include "apps/deepshift/calibration_file.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/safetensors.h"
#include "layers/module.h"

namespace ds::apps {

bool is_calibration_file(const std::string& path) { return std::filesystem::is_regular_file(path); }

Tensor read_calibration_file(const std::string& path, const CalibrationChoice& choice, const Shape& image) {
  const SafetensorsFile file(path);
  DS_CHECK(file.contains("input") != file.contains("images"),
           "[calibrate] {}: has {} of the tensors input and images, expected one", path,
           file.contains("input") ? "both" : "none");
  const std::string name = file.contains("input") ? "input" : "images";
  const TensorEntry& entry = file.entry(name);
  const Shape& found = entry.shape;
  DS_CHECK(entry.dtype == DType::kF32 && found.rank() == 4 && found[0] >= 1 && found[1] == image[2] &&
               found[2] == image[0] && found[3] == image[1],
           "[calibrate] {}: {} is {} {}, expected f32 [N, {}, {}, {}], normalised as the network takes it",
           path, name, name_of(entry.dtype), found.str(), image[2], image[0], image[1]);
  const int64_t count = image_count(choice, found[0]);
  // The axes of images are those of filters.
  const FileLayout layout{.kind = FileLayout::Kind::kConvolution};
  return layout.from_file(file.read(name).slice(0, count), {count, image[0], image[1], image[2]});
}

}  // namespace ds::apps
