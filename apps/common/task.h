// Data sets by name, and what the trainers do with them.
#pragma once

#include <string>
#include <vector>

#include "apps/common/train_options.h"
#include "data/dataset.h"
#include "data/loader.h"

namespace ds::apps {

inline constexpr const char* kImageFolder = "image_folder";

/// Which data set, where, and, of photographs, how they are seen.
struct DatasetChoice {
  std::string name = {};  // "cifar10", "cifar100", "mnist" or "image_folder"
  std::string folder = {};
  int64_t image_size = 0;                 // image_folder: of the squares cut out; 0: 224
  std::vector<std::string> classes = {};  // image_folder: names by label; empty: the folder's own order
  int64_t class_count = 0;                // image_folder: of the network; 0: as many as the folder has
  bool strict = false;                    // image_folder: an image that cannot be read is an error
};
/// Throws Error for any other name, and what the data set's reader throws.
Dataset load_dataset(const DatasetChoice& choice, Split split);
/// How many classes it has; 0 of image_folder, whose folder decides.
int64_t class_count(const std::string& dataset);
/// The data set that a network for images of this shape was probably made for.
std::string probable_dataset(const Shape& image);
/// "note: 2 images could not be read and were left out: ..." on stderr, if there are any.
void report_broken_images(const Dataset& dataset);
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
/// on the seed alone. Photographs whose classes all have names in `known`, those of a network with as many
/// outputs as the run's, get its labels.
TaskData load_task(const TrainOptions& options, const std::vector<std::string>& known = {});
/// How many classes the network of a run has: the data set's, or --classes, or those of the images. Throws
/// Error when the images have more.
int64_t network_classes(const TrainOptions& options, const Dataset& train);
/// Augmentation of the training images.
void add_augmentation(const TrainOptions& options, int64_t image_size, LoaderOptions& loader);

}  // namespace ds::apps
