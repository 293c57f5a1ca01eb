#include "apps/common/task.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "apps/common/app.h"
#include "core/error.h"
#include "data/cifar.h"
#include "data/color_jitter.h"
#include "data/image_folder.h"
#include "data/mnist.h"
#include "data/rand_augment.h"

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

/// The first images; of photographs, which lie class by class, as many at equal distances.
void limit(Dataset& images, int64_t count) {
  if (images.files == nullptr) {
    images = images.slice(0, count);
    return;
  }
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(i * images.size() / count);
  images = images.select(chosen);
}

/// Whether images of these classes belong to a network whose classes are `known`, in whatever order.
bool are_known(const std::vector<std::string>& classes, const std::vector<std::string>& known,
               const TrainOptions& options) {
  const size_t outputs = options.classes > 0 ? static_cast<size_t>(options.classes) : classes.size();
  const std::set<std::string> names(known.begin(), known.end());
  return outputs == names.size() && known.size() == names.size() &&
         std::ranges::all_of(classes, [&](const std::string& name) { return names.contains(name); });
}

/// Gives images the labels that their classes have among these.
void relabel(Dataset& images, const std::vector<std::string>& classes) {
  std::vector<int64_t> labels;
  for (const int64_t label : images.labels.span<int64_t>()) {
    const std::string& name = images.classes[static_cast<size_t>(label)];
    labels.push_back(std::ranges::find(classes, name) - classes.begin());
  }
  images.labels = Tensor::from(labels, images.labels.shape());
  images.classes = classes;
}

}  // namespace

Dataset load_dataset(const DatasetChoice& choice, Split split) {
  if (choice.name == "cifar10") return cifar10(choice.folder, split);
  if (choice.name == "cifar100") return cifar100(choice.folder, split);
  if (choice.name == "mnist") return mnist(choice.folder, split);
  if (choice.name == kImageFolder) {
    return image_folder(choice.folder, split,
                        {.framing = choice.image_size > 0 ? framing_for(choice.image_size) : Framing{},
                         .strict = choice.strict,
                         .classes = choice.classes,
                         .class_count = choice.class_count});
  }
  fail("[data] data set is '{}', expected cifar10, cifar100, mnist or image_folder", choice.name);
}

int64_t class_count(const std::string& dataset) {
  if (dataset == kImageFolder) return 0;
  return dataset == "cifar100" ? 100 : 10;
}

std::string probable_dataset(const Shape& image) {
  if (image[2] == 1) return "mnist";
  return image[0] <= 32 ? "cifar10" : kImageFolder;
}

void report_broken_images(const Dataset& dataset) {
  if (dataset.files == nullptr) return;
  constexpr size_t kShown = 20;
  const std::vector<BrokenImage> broken = dataset.files->broken();
  if (broken.empty()) return;
  std::string text = fmt::format("note: {} images could not be read and were left out:\n", broken.size());
  for (size_t i = 0; i < std::min(kShown, broken.size()); ++i) text += "  " + broken[i].reason + "\n";
  if (broken.size() > kShown) text += fmt::format("  and {} more\n", broken.size() - kShown);
  say(stderr, text);
}

Normalization default_normalization(const std::string& dataset) {
  if (dataset == kImageFolder) return imagenet_normalization();
  if (dataset == "mnist") return mnist_normalization();
  if (dataset == "cifar100") return {{0.5071F, 0.4865F, 0.4409F}, {0.2673F, 0.2564F, 0.2762F}};
  return cifar10_normalization();
}

Normalization foreign_normalization(const std::string& dataset) {
  return dataset == "mnist" ? mnist_normalization() : imagenet_normalization();
}

Normalization given_normalization(const std::vector<double>& mean, const std::vector<double>& deviation,
                                  int64_t channels) {
  DS_CHECK(mean.empty() == deviation.empty(), "[options] {} is given without {}, expected both",
           mean.empty() ? "--std" : "--mean", mean.empty() ? "--mean" : "--std");
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

TaskData load_task(const TrainOptions& options, const std::vector<std::string>& known) {
  TaskData task;
  DatasetChoice choice{.name = options.dataset,
                       .folder = options.data,
                       .image_size = options.image_size,
                       .strict = options.strict};
  task.train = load_dataset(choice, Split::kTrain);
  choice.classes = task.train.classes;
  const bool relabels = options.dataset == kImageFolder && are_known(choice.classes, known, options);
  if (!relabels)
    name_further_classes(choice.classes, options.classes);  // test images may have others of them
  task.test = load_dataset(choice, Split::kTest);
  if (relabels) {
    for (Dataset* images : {&task.train, &task.test}) relabel(*images, known);
  }
  DS_CHECK(task.train.size() > 0 && task.test.size() > 0,
           "[data] {}: {} training and {} test images, expected some of both", options.data,
           task.train.size(), task.test.size());
  if (task.train.files && task.test.files && task.train.files->path(0) == task.test.files->path(0)) {
    say(stderr, fmt::format("note: {} has no folders train and val: the test is on the training images\n",
                            options.data));
  }
  if (options.holdout > 0) {
    hold_out(task, options.holdout, options.seed);
  } else {
    task.evaluation = task.test;
  }
  if (options.limit_train > 0 && options.limit_train < task.train.size())
    limit(task.train, options.limit_train);
  return task;
}

int64_t network_classes(const TrainOptions& options, const Dataset& train) {
  if (const int64_t fixed = class_count(options.dataset); fixed > 0) return fixed;
  const auto found = static_cast<int64_t>(train.classes.size());
  DS_CHECK(options.classes == 0 || found <= options.classes, "[options] --classes is {}, but {} has {}",
           options.classes, options.data, found);
  return std::max(options.classes, found);
}

void add_augmentation(const TrainOptions& options, int64_t image_size, LoaderOptions& loader) {
  const bool standard = options.augment == "standard";
  if (options.dataset == kImageFolder) {
    if (standard) {
      loader.random_resized_crop =
          RandomResizedCropOptions{.size = image_size, .scale = {options.crop_scale, 1.0}};
      loader.augment = {random_flip()};
    }
    if (options.rand_augment > 0) loader.augment.push_back(rand_augment({.magnitude = options.rand_augment}));
    if (options.color_jitter > 0.0) {
      const double strength = options.color_jitter;
      loader.augment.push_back(
          color_jitter({.brightness = strength, .contrast = strength, .saturation = strength}));
    }
  } else if (standard && options.dataset != "mnist") {
    loader.augment = {random_crop(32, 4), random_flip()};
  }
  if (options.cutout > 0) loader.augment.push_back(cutout(options.cutout));
}

}  // namespace ds::apps
