#include "data/dataset.h"

#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"

namespace ds {

namespace {

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> result(static_cast<size_t>(end - begin));
  std::iota(result.begin(), result.end(), begin);
  return result;
}

Tensor copy_images(const Tensor& images, const std::vector<int64_t>& indices) {
  Tensor result = Tensor::empty(images.shape().with(0, static_cast<int64_t>(indices.size())), images.dtype());
  const size_t image_bytes = images.size(0) == 0 ? 0 : images.bytes() / static_cast<size_t>(images.size(0));
  for (size_t i = 0; i < indices.size(); ++i) {
    std::memcpy(result.data<uint8_t>() + i * image_bytes,
                images.data<uint8_t>() + static_cast<size_t>(indices[i]) * image_bytes, image_bytes);
  }
  return result;
}

}  // namespace

Shape Dataset::image_shape() const {
  return files != nullptr ? files->shape() : Shape{images.size(1), images.size(2), images.size(3)};
}

Dataset Dataset::slice(int64_t begin, int64_t end) const {
  if (files != nullptr) return {{}, labels.slice(begin, end), classes, files->select(range(begin, end))};
  return {images.slice(begin, end), labels.slice(begin, end), classes};
}

Dataset Dataset::select(const std::vector<int64_t>& indices) const {
  Tensor chosen = Tensor::empty({static_cast<int64_t>(indices.size())}, labels.dtype());
  for (size_t i = 0; i < indices.size(); ++i) {
    DS_CHECK(0 <= indices[i] && indices[i] < size(), "[dataset] image {}, expected one below {}", indices[i],
             size());
    chosen.data<int64_t>()[i] = labels.data<int64_t>()[indices[i]];
  }
  if (files != nullptr) return {{}, chosen, classes, files->select(indices)};
  return {copy_images(images, indices), chosen, classes};
}

Dataset Dataset::in_memory() const {
  if (files == nullptr) return *this;
  const Shape image = image_shape();
  Dataset result{Tensor::empty({size(), image[0], image[1], image[2]}, DType::kU8), labels, classes};
  std::vector<uint8_t> readable(static_cast<size_t>(size()));
  const auto bytes = static_cast<size_t>(image.numel());
  parallel_chunks(size(), [&](int64_t i) {
    const auto position = static_cast<size_t>(i);
    const std::span<uint8_t> pixels = {result.images.data<uint8_t>() + position * bytes, bytes};
    readable[position] = files->read(i, pixels) ? 1 : 0;
  });
  std::vector<int64_t> kept = range(0, size());
  std::erase_if(kept, [&](int64_t i) { return readable[static_cast<size_t>(i)] == 0; });
  return static_cast<int64_t>(kept.size()) == size() ? result : result.select(kept);
}

}  // namespace ds
