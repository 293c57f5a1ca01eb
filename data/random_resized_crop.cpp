#include "data/random_resized_crop.h"

#include <cmath>

#include "core/error.h"

namespace ds {
namespace {

void check(const RandomResizedCropOptions& o) {
  DS_CHECK(o.size >= 1, "[random_resized_crop] size {}, expected at least 1", o.size);
  DS_CHECK(0.0 < o.scale[0] && o.scale[0] <= o.scale[1] && o.scale[1] <= 1.0,
           "[random_resized_crop] scale {} to {}, expected 0 < least <= most <= 1", o.scale[0], o.scale[1]);
  DS_CHECK(0.0 < o.ratio[0] && o.ratio[0] <= o.ratio[1] && std::isfinite(o.ratio[1]),
           "[random_resized_crop] ratio {} to {}, expected 0 < least <= most", o.ratio[0], o.ratio[1]);
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
  const double least_log = std::log(options.ratio[0]);
  const double most_log = std::log(options.ratio[1]);
  for (int trial = 0; trial < 10; ++trial) {
    const double area = height * width * uniform(options.scale[0], options.scale[1], generator);
    const double ratio = std::exp(uniform(least_log, most_log, generator));
    Box box{.height = rounded(std::sqrt(area / ratio)), .width = rounded(std::sqrt(area * ratio))};
    if (box.height < 1 || box.height > image.height || box.width < 1 || box.width > image.width) continue;
    box.top = random_place(image.height - box.height + 1, generator);
    box.left = random_place(image.width - box.width + 1, generator);
    return box;
  }
  Box box{.height = image.height, .width = image.width};
  // A side of half a pixel counts as one: torchvision would take none.
  if (width / height < options.ratio[0]) box.height = std::max<int64_t>(rounded(width / options.ratio[0]), 1);
  if (width / height > options.ratio[1]) box.width = std::max<int64_t>(rounded(height * options.ratio[1]), 1);
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
