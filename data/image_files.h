// Photographs in files, decoded when they are asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/shape.h"
#include "data/image.h"
#include "data/random_resized_crop.h"

namespace ds {

/// How a photograph becomes the square that a network sees, in evaluation: the shorter side is resized, the
/// centre cut out (He et al. 2016: 256 and 224).
struct Framing {
  int64_t size = 224;
  int64_t shorter_side = 256;
};
/// The usual frame around another size: the shorter side is 256/224 of it, rounded.
Framing framing_for(int64_t size);

struct BrokenImage {
  std::string path;
  std::string reason;
};

/// The images of a data set. Those that cannot be read are remembered; reading is thread-safe.
class ImageFiles {
 public:
  explicit ImageFiles(std::vector<std::string> paths, Framing framing = {}, bool strict = false);

  int64_t size() const { return static_cast<int64_t>(paths_.size()); }
  /// H,W,C of every image as it is read.
  Shape shape() const { return {framing_.size, framing_.size, 3}; }
  const std::string& path(int64_t index) const { return paths_[static_cast<size_t>(index)]; }

  /// Writes the pixels of an image as in evaluation. False when it cannot be read; strict: throws Error
  /// naming the file.
  bool read(int64_t index, std::span<uint8_t> pixels) const;
  /// As in training: a random part of it, resized to the same square.
  bool read(int64_t index, const RandomResizedCropOptions& crop, Generator& generator,
            std::span<uint8_t> pixels) const;

  /// Those images alone. What is broken is remembered together.
  std::shared_ptr<const ImageFiles> select(const std::vector<int64_t>& indices) const;
  /// What could not be read so far, each once, in order of the paths.
  std::vector<BrokenImage> broken() const;

 private:
  class BrokenList;

  template <class Make>
  bool read_as(int64_t index, std::span<uint8_t> pixels, const Make& make) const;

  std::vector<std::string> paths_;
  Framing framing_;
  bool strict_;
  std::shared_ptr<BrokenList> broken_;
};

}  // namespace ds
