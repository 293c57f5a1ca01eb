// What Pillow and torchvision made of images: tests/fixtures/make_images.py.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "core/safetensors.h"
#include "data/image.h"
#include "data/transforms.h"
#include "tests/support/data.h"

namespace ds::test {

inline const SafetensorsFile& image_fixtures() {
  static const SafetensorsFile file(fixture("images.safetensors"));
  return file;
}

/// Names that begin with `prefix`, without it.
inline std::vector<std::string> image_fixture_names(const std::string& prefix) {
  std::vector<std::string> names;
  for (const std::string& name : image_fixtures().names()) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

inline Image fixture_image(const std::string& name) {
  const Tensor pixels = image_fixtures().read(name);
  return {.height = pixels.size(0), .width = pixels.size(1), .pixels = pixels.to_vector<uint8_t>()};
}

inline std::vector<uint8_t> fixture_bytes(const std::string& name) {
  return image_fixtures().read(name).to_vector<uint8_t>();
}

inline ImageView view(Image& image) { return {image.pixels.data(), image.height, image.width, 3}; }

/// The largest difference of two pixels; 256 for images of different sizes.
inline int worst_difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width || a.pixels.size() != b.pixels.size()) return 256;
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

inline Box random_box(Size2d size, Generator& generator) {
  const auto below = [&](int64_t bound) { return int64_t{generator.below(static_cast<uint32_t>(bound))}; };
  Box box;
  box.height = 1 + below(size.height);
  box.width = 1 + below(size.width);
  box.top = below(size.height - box.height + 1);
  box.left = below(size.width - box.width + 1);
  return box;
}

}  // namespace ds::test
