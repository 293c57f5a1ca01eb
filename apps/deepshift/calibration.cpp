#include "apps/deepshift/calibration.h"

#include <algorithm>
#include <numeric>

#include "apps/common/option_table.h"
#include "core/error.h"
#include "core/random.h"
#include "data/transforms.h"

namespace ds::apps {
namespace {

constexpr uint64_t kStream = 0x63616c69;  // of the generator that chooses

}  // namespace

void add_calibration(CLI::App& app, CalibrationChoice& choice) {
  app.add_option("--calibration-images", choice.images,
                 fmt::format("training images that are looked at (default: {}, or all where there are fewer)",
                             kUsualImages))
      ->check(at_least(1));
  app.add_option("--seed", choice.seed, "of their choice")->capture_default_str();
}

int64_t image_count(const CalibrationChoice& choice, int64_t available) {
  const int64_t count = choice.images.value_or(std::min(kUsualImages, available));
  DS_CHECK(count <= available, "[calibrate] --calibration-images is {}, but there are only {}", count,
           available);
  return count;
}

Dataset choose_images(const Dataset& train, const CalibrationChoice& choice) {
  const int64_t count = image_count(choice, train.size());
  std::vector<int64_t> order(static_cast<size_t>(train.size()));
  std::iota(order.begin(), order.end(), 0);
  Generator generator(choice.seed, kStream);
  shuffle(order, generator);
  return train.select({order.begin(), order.begin() + count});
}

}  // namespace ds::apps
