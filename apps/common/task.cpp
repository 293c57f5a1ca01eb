#include "apps/common/task.h"

#include <numeric>

#include "core/error.h"
#include "data/cifar.h"
#include "data/mnist.h"

namespace ds::apps {

namespace {

constexpr uint64_t kHoldoutStream = 0x686f6c64;  // of the generator that chooses the held-out images

void hold_out(TaskData& task, int64_t count, uint64_t seed) {
  const int64_t total = task.train.size();
  DS_CHECK(count < total, "[options] --holdout is {}, but there are only {} training images", count, total);
  std::vector<int64_t> order(static_cast<size_t>(total));
  std::iota(order.begin(), order.end(), 0);
  Generator generator(seed, kHoldoutStream);
  shuffle(order, generator);
  task.evaluation = task.train.select({order.begin(), order.begin() + count});
  task.train = task.train.select({order.begin() + count, order.end()});
}

}  // namespace

Dataset load_dataset(const std::string& name, const std::string& folder, Split split) {
  if (name == "cifar10") return cifar10(folder, split);
  if (name == "cifar100") return cifar100(folder, split);
  if (name == "mnist") return mnist(folder, split);
  fail("[data] data set is '{}', expected cifar10, cifar100 or mnist", name);
}

int64_t class_count(const std::string& dataset) { return dataset == "cifar100" ? 100 : 10; }

Normalization default_normalization(const std::string& dataset) {
  if (dataset == "mnist") return mnist_normalization();
  if (dataset == "cifar100") return {{0.5071F, 0.4865F, 0.4409F}, {0.2673F, 0.2564F, 0.2762F}};
  return cifar10_normalization();
}

Normalization foreign_normalization(const std::string& dataset) {
  return dataset == "mnist" ? mnist_normalization() : imagenet_normalization();
}

Normalization given_normalization(const std::vector<double>& mean, const std::vector<double>& deviation,
                                  int64_t channels) {
  DS_CHECK(mean.size() == deviation.size(), "[options] --mean has {} values and --std {}, expected as many",
           mean.size(), deviation.size());
  if (mean.empty()) return {};
  const auto expand = [&](const std::vector<double>& values) {
    const auto expected = static_cast<size_t>(channels);
    DS_CHECK(values.size() == 1 || values.size() == expected,
             "[options] --mean and --std have {} values, expected 1 or {}, the channels of the images",
             values.size(), channels);
    std::vector<float> result(values.begin(), values.end());
    result.resize(expected, result.front());
    return result;
  };
  return {expand(mean), expand(deviation)};
}

TaskData load_task(const TrainOptions& options) {
  TaskData task;
  task.train = load_dataset(options.dataset, options.data, Split::kTrain);
  task.test = load_dataset(options.dataset, options.data, Split::kTest);
  DS_CHECK(task.train.size() > 0 && task.test.size() > 0,
           "[data] {}: {} training and {} test images, expected some of both", options.data,
           task.train.size(), task.test.size());
  if (options.holdout > 0) {
    hold_out(task, options.holdout, options.seed);
  } else {
    task.evaluation = task.test;
  }
  if (options.limit_train > 0 && options.limit_train < task.train.size()) {
    task.train = task.train.slice(0, options.limit_train);
  }
  return task;
}

std::vector<Transform> augmentation(const TrainOptions& options) {
  std::vector<Transform> transforms;
  if (options.augment == "standard" && options.dataset != "mnist") {
    transforms = {random_crop(32, 4), random_flip()};
  }
  if (options.cutout > 0) transforms.push_back(cutout(options.cutout));
  return transforms;
}

}  // namespace ds::apps
