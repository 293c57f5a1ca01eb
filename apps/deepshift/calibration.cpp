#include "apps/deepshift/calibration.h"

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
  app.add_option("--calibration-images", choice.images, "training images that are looked at")
      ->capture_default_str()
      ->check(at_least(1));
  app.add_option("--seed", choice.seed, "of their choice")->capture_default_str();
}

Dataset choose_images(const Dataset& train, const CalibrationChoice& choice) {
  DS_CHECK(choice.images <= train.size(), "[calibrate] --calibration-images is {}, but there are only {}",
           choice.images, train.size());
  std::vector<int64_t> order(static_cast<size_t>(train.size()));
  std::iota(order.begin(), order.end(), 0);
  Generator generator(choice.seed, kStream);
  shuffle(order, generator);
  return train.select({order.begin(), order.begin() + choice.images});
}

}  // namespace ds::apps
