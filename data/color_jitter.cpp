#include "data/color_jitter.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "data/pixel_ops.h"

namespace ds {

Transform color_jitter(const ColorJitterOptions& options) {
  for (const double change : {options.brightness, options.contrast, options.saturation, options.hue}) {
    DS_CHECK(change >= 0.0, "[color_jitter] a change of {}, expected at least 0", change);
  }
  DS_CHECK(options.hue <= 0.5, "[color_jitter] a change of hue of {}, expected at most 0.5", options.hue);

  struct Step {
    void (*adjust)(ImageView, double);
    double change;
    double least;
    double middle;
  };
  const std::array<Step, 4> steps = {{{adjust_brightness, options.brightness, 0.0, 1.0},
                                      {adjust_contrast, options.contrast, 0.0, 1.0},
                                      {adjust_saturation, options.saturation, 0.0, 1.0},
                                      {adjust_hue, options.hue, -0.5, 0.0}}};
  return [steps](ImageView image, Generator& generator) {
    std::array<int64_t, 4> order = {0, 1, 2, 3};
    shuffle(order, generator);
    for (const int64_t i : order) {
      const Step& step = steps[static_cast<size_t>(i)];
      const double low = std::max(step.least, step.middle - step.change);
      const double amount = uniform(low, step.middle + step.change, generator);
      if (step.change > 0.0) step.adjust(image, amount);
    }
  };
}

}  // namespace ds
