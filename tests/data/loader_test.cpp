#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "core/error.h"

namespace ds {
namespace {

/// Image i is labelled i % 10 and holds i in its first pixel.
Dataset numbered_images(int64_t count) {
  Dataset dataset{Tensor::empty({count, 8, 8, 3}, DType::kU8), Tensor::empty({count}, DType::kI64),
                  std::vector<std::string>(10, "class")};
  Generator generator(9);
  for (uint8_t& pixel : dataset.images.span<uint8_t>()) pixel = static_cast<uint8_t>(generator.below(256));
  for (int64_t i = 0; i < count; ++i) {
    dataset.images.data<uint8_t>()[i * 8 * 8 * 3] = static_cast<uint8_t>(i);
    dataset.labels.data<int64_t>()[i] = i % 10;
  }
  return dataset;
}

LoaderOptions augmenting(int workers) {
  return {.batch = 7,
          .shuffle = true,
          .seed = 11,
          .workers = workers,
          .prefetch = 3,
          .normalization = {{0.4F, 0.5F, 0.6F}, {0.1F, 0.2F, 0.3F}},
          .augment = {random_crop(8, 2), random_flip(), cutout(3)}};
}

using Batches = std::vector<std::vector<float>>;

/// Pixels and labels of the rest of the epoch.
Batches drain(DataLoader& loader) {
  Batches batches;
  for (Batch batch; loader.next(batch);) {
    batches.push_back(batch.images.to_vector<float>());
    const Tensor& labels = batch.labels;
    if (labels.dtype() == DType::kF32) {
      batches.push_back(labels.to_vector<float>());
    } else {
      const auto values = labels.to_vector<int64_t>();
      batches.emplace_back(values.begin(), values.end());
    }
  }
  return batches;
}

Batches ranged(DataLoader& loader) {
  Batches images;
  for (const Batch& batch : loader) images.push_back(batch.images.to_vector<float>());
  return images;
}

/// Of what drain() returns: the pixels alone, from a batch on.
Batches images_of(const Batches& drained, size_t first_batch) {
  Batches images;
  for (size_t i = 2 * first_batch; i < drained.size(); i += 2) images.push_back(drained[i]);
  return images;
}

Batches epoch_of(DataLoader& loader, int64_t epoch, int64_t first_batch = 0) {
  loader.start(epoch, first_batch);
  return drain(loader);
}

TEST(DataLoader, KeepsTheOrderAndNormalises) {
  const Dataset dataset = numbered_images(10);
  DataLoader loader(dataset, {.batch = 4, .normalization = {{0.1F, 0.2F, 0.3F}, {0.5F, 0.6F, 0.7F}}});
  ASSERT_EQ(loader.batches(), 3);
  int64_t index = 0;
  for (const auto& [images, labels] : loader) {
    ASSERT_EQ(images.size(0), index == 8 ? 2 : 4);
    for (int64_t i = 0; i < labels.numel(); ++i, ++index) {
      EXPECT_EQ(labels.data<int64_t>()[i], index % 10);
      const auto* source = dataset.images.data<uint8_t>() + index * 192;
      const float* found = images.data<float>() + i * 192;
      const std::array mean = {0.1F, 0.2F, 0.3F};
      const std::array deviation = {0.5F, 0.6F, 0.7F};
      for (size_t k = 0; k < 192; ++k) {
        const float expected = (static_cast<float>(source[k]) / 255.0F - mean[k % 3]) / deviation[k % 3];
        ASSERT_EQ(found[k], expected);
      }
    }
  }
  EXPECT_EQ(index, 10);
}

TEST(DataLoader, DropsAnIncompleteBatchOnRequest) {
  DataLoader loader(numbered_images(10), {.batch = 4, .drop_last = true, .workers = 1});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(epoch_of(loader, 0).size(), 4U);
  DataLoader empty(numbered_images(3), {.batch = 4, .drop_last = true});
  EXPECT_EQ(empty.batches(), 0);
  EXPECT_TRUE(epoch_of(empty, 0).empty());
}

TEST(DataLoader, ShufflesEveryEpochDifferently) {
  DataLoader loader(numbered_images(50), {.batch = 50, .shuffle = true, .seed = 1, .workers = 0});
  std::vector<std::vector<float>> orders;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<float> order;
    for (const auto& [images, labels] : loader) {
      for (int64_t i = 0; i < 50; ++i) order.push_back(std::round(images.data<float>()[i * 192] * 255.0F));
    }
    orders.push_back(order);
    std::ranges::sort(order);
    for (size_t i = 0; i < 50; ++i) EXPECT_EQ(order[i], static_cast<float>(i));
  }
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_NE(orders[1], orders[2]);
}

TEST(DataLoader, BatchesDoNotDependOnTheNumberOfWorkers) {
  const Dataset dataset = numbered_images(60);
  for (const double alpha : {0.0, 0.4}) {
    LoaderOptions options = augmenting(0);
    options.mixup = alpha;
    DataLoader judge(dataset, options);
    const Batches first = epoch_of(judge, 0);
    const Batches second = epoch_of(judge, 1);
    EXPECT_NE(first, second);
    for (const int workers : {1, 2, 5}) {
      options.workers = workers;
      DataLoader loader(dataset, options);
      EXPECT_EQ(epoch_of(loader, 0), first) << workers;
      EXPECT_EQ(epoch_of(loader, 1), second) << workers;
    }
  }
}

TEST(DataLoader, DependsOnTheSeed) {
  LoaderOptions options = augmenting(0);
  DataLoader one(numbered_images(60), options);
  options.seed = 12;
  DataLoader other(numbered_images(60), options);
  EXPECT_NE(epoch_of(one, 0), epoch_of(other, 0));
}

TEST(DataLoader, ResumesWithTheTailOfTheEpoch) {
  const Dataset dataset = numbered_images(60);
  for (const int workers : {0, 2}) {
    DataLoader loader(dataset, augmenting(workers));
    const Batches whole = epoch_of(loader, 4);
    for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{5}, loader.batches()}) {
      const Batches tail(whole.begin() + 2 * first, whole.end());
      EXPECT_EQ(epoch_of(loader, 4, first), tail) << first;
    }
    loader.start(4, 3);
    EXPECT_EQ(ranged(loader), images_of(whole, 3)) << "begin() goes on with what was started";
    const Batches next = ranged(loader);
    EXPECT_EQ(next, images_of(epoch_of(loader, 5), 0)) << "and then with the next epoch";
    EXPECT_THROW(loader.start(0, loader.batches() + 1), Error);
  }
}

TEST(DataLoader, PreparesAtMostTheAskedNumberAhead) {
  std::atomic<int> prepared = 0;
  LoaderOptions options = {.batch = 1, .workers = 3, .prefetch = 4};
  options.augment = {[&](ImageView, Generator&) { ++prepared; }};
  DataLoader loader(numbered_images(50), options);
  loader.start(0);
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(prepared, 5);
}

/// No batch is finished before there is one in every worker's hands.
TEST(DataLoader, KeepsEveryWorkerBusy) {
  constexpr int kWorkers = 8;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::atomic<int> working = 0;
  LoaderOptions options = {.batch = 1, .workers = kWorkers};
  options.augment = {[&](ImageView, Generator&) {
    ++working;
    while (working < kWorkers && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    if (working < kWorkers) fail("{} of {} workers have a batch", working.load(), kWorkers);
  }};
  DataLoader loader(numbered_images(kWorkers), options);
  EXPECT_EQ(images_of(epoch_of(loader, 0), 0).size(), static_cast<size_t>(kWorkers));
}

TEST(DataLoader, ThrowsErrorsOfWorkersInTheirTurn) {
  for (const int workers : {0, 2}) {
    LoaderOptions options = {.batch = 4, .workers = workers};
    options.augment = {[](ImageView image, Generator&) {
      if (image.pixels[0] == 9) fail("image nine");
    }};
    DataLoader loader(numbered_images(20), options);
    loader.start(0);
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    ASSERT_TRUE(loader.next(batch));
    EXPECT_THROW(loader.next(batch), Error);
    EXPECT_EQ(epoch_of(loader, 0, 3).size(), 4U);  // still usable
  }
}

TEST(DataLoader, EndsCleanlyInMidEpoch) {
  for (int trial = 0; trial < 20; ++trial) {
    DataLoader loader(numbered_images(60), augmenting(3));
    loader.start(0);
    Batch batch;
    for (int i = 0; i < trial % 4; ++i) loader.next(batch);
  }
}

TEST(DataLoader, MixesTargetsOfAsManyClassesAsTheNetworkHas) {
  const Dataset dataset = numbered_images(4);
  const auto width = [&](int64_t classes) {
    DataLoader loader(dataset, {.batch = 4, .classes = classes, .mixup = 0.2});
    return (*loader.begin()).labels.size(1);
  };
  EXPECT_EQ(width(0), static_cast<int64_t>(dataset.classes.size()));
  EXPECT_EQ(width(20), 20);
}

TEST(DataLoader, RefusesWrongOptions) {
  const Dataset dataset = numbered_images(4);
  EXPECT_THROW(DataLoader(dataset, {.batch = 0}), Error);
  EXPECT_THROW(DataLoader(dataset, {.workers = -1}), Error);
  EXPECT_THROW(DataLoader(dataset, {.prefetch = -1}), Error);
  EXPECT_THROW(DataLoader(dataset, {.mixup = std::nan("")}), Error);
  EXPECT_THROW(DataLoader(dataset, {.label_smoothing = 0.1}), Error);
  EXPECT_THROW(DataLoader(dataset, {.classes = 2, .mixup = 0.2}), Error);
  EXPECT_THROW(DataLoader(dataset, {.normalization = {{0.5F}, {0.5F}}}), Error);
  EXPECT_THROW(DataLoader(dataset, {.normalization = {{0.5F, 0.5F, 0.5F}, {0.5F, 0.0F, 0.5F}}}), Error);
  Batch batch;
  DataLoader loader(dataset, {});
  EXPECT_THROW(loader.next(batch), Error);
}

}  // namespace
}  // namespace ds
