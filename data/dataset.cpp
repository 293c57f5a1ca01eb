#include "data/dataset.h"

#include <cstring>

#include "core/error.h"

namespace ds {

Dataset Dataset::slice(int64_t begin, int64_t end) const {
  return {images.slice(begin, end), labels.slice(begin, end), classes};
}

Dataset Dataset::select(const std::vector<int64_t>& indices) const {
  const auto count = static_cast<int64_t>(indices.size());
  Dataset result{Tensor::empty(images.shape().with(0, count), images.dtype()),
                 Tensor::empty({count}, labels.dtype()), classes};
  const size_t image_bytes = size() == 0 ? 0 : images.bytes() / static_cast<size_t>(size());
  const auto* source = images.data<uint8_t>();
  auto* target = result.images.data<uint8_t>();
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t index = indices[i];
    DS_CHECK(0 <= index && index < size(), "[dataset] image {}, expected one below {}", index, size());
    std::memcpy(target + i * image_bytes, source + static_cast<size_t>(index) * image_bytes, image_bytes);
    result.labels.data<int64_t>()[i] = labels.data<int64_t>()[index];
  }
  return result;
}

}  // namespace ds
