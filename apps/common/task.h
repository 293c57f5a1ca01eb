// Data sets by name, and what the trainers do with them.
#pragma once

#include <string>
#include <vector>

#include "apps/common/train_options.h"
#include "data/dataset.h"
#include "data/transforms.h"

namespace ds::apps {

/// "cifar10", "cifar100" or "mnist", from the folder of its files. Throws Error for any other name.
Dataset load_dataset(const std::string& name, const std::string& folder, Split split);
/// How many classes it has.
int64_t class_count(const std::string& dataset);
/// The commonly used mean and deviation.
Normalization default_normalization(const std::string& dataset);
/// The one that published float weights are mostly made for: ImageNet's, for colour images.
Normalization foreign_normalization(const std::string& dataset);
/// The normalisation that the options give; nothing when they give none. Throws Error unless their number is
/// that of the channels (or one for all).
Normalization given_normalization(const std::vector<double>& mean, const std::vector<double>& deviation,
                                  int64_t channels);

/// The images of a run.
struct TaskData {
  Dataset train;
  Dataset evaluation;  // evaluated after each epoch: held-out training images, or the test images
  Dataset test;
};

/// Reads training and test images, holds out and limits as the options say. Which images are held out depends
/// on the seed alone.
TaskData load_task(const TrainOptions& options);
/// Augmentation of the training images.
std::vector<Transform> augmentation(const TrainOptions& options);

}  // namespace ds::apps
