// Small image files for tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "core/random.h"

namespace ds::test {

/// A noisy picture of one colour as a binary PPM file; folders are made.
inline void write_photograph(const std::string& path, int width, int height, uint32_t red,
                             uint64_t seed = 1) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << width << " " << height << "\n255\n";
  Generator generator(seed);
  for (int i = 0; i < width * height; ++i) {
    for (const uint32_t level : {red, 128U, 255U - red})
      file.put(static_cast<char>(std::min(255U, level + generator.below(20))));
  }
}

inline void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace ds::test
