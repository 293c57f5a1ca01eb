#include "data/random_resized_crop.h"

#include <cmath>

#include "core/error.h"

namespace ds {
namespace {

void check(const RandomResizedCropOptions& o) {
  DS_CHECK(o.size >= 1, "[random_resized_crop] size {}, expected at least 1", o.size);
  DS_CHECK(0.0 < o.least_scale && o.least_scale <= o.most_scale && o.most_scale <= 1.0,
           "[random_resized_crop] scale {} to {}, expected 0 < least <= most <= 1", o.least_scale,
           o.most_scale);
  DS_CHECK(0.0 < o.least_ratio && o.least_ratio <= o.most_ratio && std::isfinite(o.most_ratio),
           "[random_resized_crop] ratio {} to {}, expected 0 < least <= most", o.least_ratio, o.most_ratio);
}

int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

int64_t random_place(int64_t places, Generator& generator) {
  return generator.below(static_cast<uint32_t>(places));
}

}  // namespace

Box random_resized_box(Size2d image, const RandomResizedCropOptions& options, Generator& generator) {
  check(options);
  DS_CHECK(image.height >= 1 && image.width >= 1, "[random_resized_crop] an image of {} x {}", image.height,
           image.width);
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  const double least_log = std::log(options.least_ratio);
  const double most_log = std::log(options.most_ratio);
  for (int trial = 0; trial < 10; ++trial) {
    const double area = height * width * uniform(options.least_scale, options.most_scale, generator);
    const double ratio = std::exp(uniform(least_log, most_log, generator));
    Box box{.height = rounded(std::sqrt(area / ratio)), .width = rounded(std::sqrt(area * ratio))};
    if (box.height < 1 || box.height > image.height || box.width < 1 || box.width > image.width) continue;
    box.top = random_place(image.height - box.height + 1, generator);
    box.left = random_place(image.width - box.width + 1, generator);
    return box;
  }
  Box box{.height = image.height, .width = image.width};
  // A side of half a pixel counts as one: torchvision would take none.
  if (width / height < options.least_ratio)
    box.height = std::max<int64_t>(rounded(width / options.least_ratio), 1);
  if (width / height > options.most_ratio)
    box.width = std::max<int64_t>(rounded(height * options.most_ratio), 1);
  box.top = (image.height - box.height) / 2;
  box.left = (image.width - box.width) / 2;
  return box;
}

Image random_resized_crop(const Image& image, const RandomResizedCropOptions& options, Generator& generator) {
  const Box box = random_resized_box({image.height, image.width}, options, generator);
  return resize(crop(image, box), options.size);
}

Image decode_random_resized_crop(std::span<const uint8_t> bytes, const std::string& name,
                                 const RandomResizedCropOptions& options, Generator& generator) {
  const Box box = random_resized_box(image_size(bytes, name), options, generator);
  return resize(decode_image(bytes, name, {.box = box, .least_side = options.size}), options.size);
}

}  // namespace ds
