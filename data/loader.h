// Batches of normalised images, prepared ahead by worker threads.
//
// The order of the images and what augmentation makes of them are functions of (seed, epoch) alone: not of
// the number of workers. Iterating takes one epoch; the position can be saved and set, so that a resumed run
// sees the same batches. An image that cannot be read is left out of its batch (ImageFiles remembers it),
// and a batch without images out of the epoch; an epoch without images is an error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "data/transforms.h"

namespace ds {

struct Batch {
  Tensor images;  // f32 [N,H,W,C], normalised
  Tensor labels;  // i64 [N], or f32 [N,classes] with mixup or cutmix
};

struct LoaderOptions {
  int64_t batch = 128;
  bool shuffle = false;
  bool drop_last = false;            // leave out the last batch when it is not full
  uint64_t seed = 0;                 // of order and augmentation: not that of manual_seed()
  int workers = 2;                   // threads; 0 prepares batches on the calling thread
  int prefetch = 0;                  // batches ready or in work; 0: workers + 2, at least 4
  int64_t classes = 0;               // of soft targets; 0: those of the data set
  double mixup = 0.0;                // alpha of Beta(alpha, alpha) (Zhang et al. 2018); 0 is off
  double cutmix = 0.0;               // likewise (Yun et al. 2019); with both, each batch has one of them
  double label_smoothing = 0.0;      // of the soft targets that these make, and of no others
  Normalization normalization = {};  // empty: pixels / 255
  Device device = {};
  std::optional<RandomResizedCropOptions> random_resized_crop = {};  // of images in files; else framed
  std::vector<Transform> augment = {};
};

class DataLoader {
 public:
  /// Throws Error for options that are out of range, do not fit the data set or would be without effect.
  DataLoader(Dataset dataset, LoaderOptions options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  const Dataset& dataset() const;
  const LoaderOptions& options() const;
  /// Batches an epoch.
  int64_t batches() const;

  /// Starts an epoch at a batch (for resuming). begin() goes on with an epoch that was started and not yet
  /// read from, and else starts the one after the last.
  void start(int64_t epoch, int64_t first_batch = 0);
  /// The next batch of the started epoch; false at its end. Errors of workers are thrown here.
  bool next(Batch& batch);
  /// Batches of the epoch that are over: where start() goes on with it.
  int64_t position() const;

  /// Range over one epoch: `for (const auto& [images, labels] : loader)`.
  class Iterator {
   public:
    const Batch& operator*() const { return batch_; }
    Iterator& operator++();
    bool operator!=(const Iterator& other) const { return loader_ != other.loader_; }

   private:
    friend class DataLoader;
    DataLoader* loader_ = nullptr;  // null at the end
    Batch batch_;
  };
  Iterator begin();
  Iterator end() { return {}; }

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace ds
