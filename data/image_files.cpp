#include "data/image_files.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "core/error.h"
#include "data/resize.h"

namespace ds {

Framing framing_for(int64_t size) {
  const Framing published;
  return {.size = size,
          .shorter_side = (size * published.shorter_side + published.size / 2) / published.size};
}

class ImageFiles::BrokenList {
 public:
  void add(const std::string& path, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    reasons_.emplace(path, reason);
  }
  std::vector<BrokenImage> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<BrokenImage> result;
    for (const auto& [path, reason] : reasons_) result.push_back({path, reason});
    return result;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> reasons_;
};

ImageFiles::ImageFiles(std::vector<std::string> paths, Framing framing, bool strict)
    : paths_(std::move(paths)), framing_(framing), strict_(strict), broken_(std::make_shared<BrokenList>()) {
  DS_CHECK(1 <= framing.size && framing.size <= framing.shorter_side,
           "[images] a square of {} pixels from images whose shorter side is {}, expected 1 <= size <= side",
           framing.size, framing.shorter_side);
}

template <class Make>
bool ImageFiles::read_as(int64_t index, std::span<uint8_t> pixels, const Make& make) const {
  DS_CHECK(0 <= index && index < size(), "[images] image {}, expected one below {}", index, size());
  DS_CHECK(static_cast<int64_t>(pixels.size()) == shape().numel(), "[images] room for {} values, expected {}",
           pixels.size(), shape().numel());
  try {
    std::ranges::copy(make(path(index)).pixels, pixels.begin());
    return true;
  } catch (const Error& error) {
    if (strict_) throw;
    broken_->add(path(index), error.what());
    return false;
  }
}

bool ImageFiles::read(int64_t index, std::span<uint8_t> pixels) const {
  return read_as(index, pixels, [&](const std::string& path) {
    return decode_resized_center(read_bytes(path), path, framing_.shorter_side, framing_.size);
  });
}

bool ImageFiles::read(int64_t index, const RandomResizedCropOptions& crop, Generator& generator,
                      std::span<uint8_t> pixels) const {
  DS_CHECK(crop.size == framing_.size, "[images] random crops of {} pixels, expected {}", crop.size,
           framing_.size);
  return read_as(index, pixels, [&](const std::string& path) {
    return decode_random_resized_crop(read_bytes(path), path, crop, generator);
  });
}

std::shared_ptr<const ImageFiles> ImageFiles::select(const std::vector<int64_t>& indices) const {
  std::vector<std::string> chosen;
  for (const int64_t index : indices) {
    DS_CHECK(0 <= index && index < size(), "[images] image {}, expected one below {}", index, size());
    chosen.push_back(path(index));
  }
  auto result = std::make_shared<ImageFiles>(std::move(chosen), framing_, strict_);
  result->broken_ = broken_;
  return result;
}

std::vector<BrokenImage> ImageFiles::broken() const { return broken_->all(); }

}  // namespace ds
