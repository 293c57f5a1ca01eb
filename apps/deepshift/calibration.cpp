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

void add_input_choice(CLI::App& app, InputChoice& choice) {
  app.add_option("--dataset", choice.dataset, "data set (default: what the file says, or cifar10)")
      ->transform(one_of({"cifar10", "cifar100", "mnist"}));
  app.add_option("--mean", choice.mean, "of pixels in [0, 1] (default: what the file says, or ImageNet's)")
      ->expected(1, 3)
      ->delimiter(',')
      ->check(finite());
  app.add_option("--std", choice.deviation, "likewise")->expected(1, 3)->delimiter(',')->check(above_zero());
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
