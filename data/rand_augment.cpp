#include "data/rand_augment.h"

#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "data/pixel_ops.h"

namespace ds {
namespace {

constexpr double kLongestShift = 150.0 / 331.0;  // of the side

/// Value `index` of `bins` equally spaced ones from 0 to `end`, in f32 as torch.linspace.
double spaced(double end, const RandAugmentOptions& o) {
  const auto last = static_cast<float>(end);
  const float step = last / static_cast<float>(o.bins - 1);
  const bool lower = o.magnitude < o.bins / 2;
  const float distance = step * static_cast<float>(lower ? o.magnitude : o.bins - 1 - o.magnitude);
  return double{lower ? distance : last - distance};
}

/// By degrees, counter-clockwise, around the centre.
void rotate(ImageView image, double degrees) {
  const double angle = -degrees * std::numbers::pi / 180.0;
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  const double x = static_cast<double>(image.width) / 2.0;
  const double y = static_cast<double>(image.height) / 2.0;
  affine(image, {c, s, x - c * x - s * y, -s, c, y + s * x - c * y});
}

/// Whole pixels, to the right and down.
void translate(ImageView image, double right, double down) {
  affine(image, {1.0, 0.0, -std::trunc(right), 0.0, 1.0, -std::trunc(down)});
}

/// One of the 14: draws its direction where it has one.
void augment(ImageView image, int64_t operation, const RandAugmentOptions& o, Generator& generator) {
  const auto signed_magnitude = [&](double end) {
    const double magnitude = spaced(end, o);
    return generator.below(2) == 1 ? -magnitude : magnitude;
  };
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  switch (operation) {
    case 0: return;
    case 1: return affine(image, {1.0, signed_magnitude(0.3), 0.0, 0.0, 1.0, 0.0});
    case 2: return affine(image, {1.0, 0.0, 0.0, signed_magnitude(0.3), 1.0, 0.0});
    case 3: return translate(image, signed_magnitude(kLongestShift * width), 0.0);
    case 4: return translate(image, 0.0, signed_magnitude(kLongestShift * height));
    case 5: return rotate(image, signed_magnitude(30.0));
    case 6: return adjust_brightness(image, 1.0 + signed_magnitude(0.9));
    case 7: return adjust_saturation(image, 1.0 + signed_magnitude(0.9));
    case 8: return adjust_contrast(image, 1.0 + signed_magnitude(0.9));
    case 9: return adjust_sharpness(image, 1.0 + signed_magnitude(0.9));
    case 10: return posterize(image, 8 - static_cast<int>(std::nearbyint(spaced(4.0, o))));
    case 11: return solarize(image, 255.0 - spaced(255.0, o));
    case 12: return autocontrast(image);
    default: return equalize(image);
  }
}

}  // namespace

Transform rand_augment(const RandAugmentOptions& options) {
  DS_CHECK(options.operations >= 0 && options.bins >= 2 && options.magnitude >= 0 &&
               options.magnitude < options.bins,
           "[rand_augment] {} operations of magnitude {} of {}, expected a magnitude in [0, bins) and 2 bins "
           "or more",
           options.operations, options.magnitude, options.bins);
  return [options](ImageView image, Generator& generator) {
    DS_CHECK(image.channels == 3, "[rand_augment] an image of {} channels, expected 3", image.channels);
    for (int64_t i = 0; i < options.operations; ++i) augment(image, generator.below(14), options, generator);
  };
}

}  // namespace ds
