#include "data/image_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "data/loader.h"
#include "data/resize.h"
#include "tests/support/photographs.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::write_photograph;
using test::write_text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Files : public ::testing::Test {
 protected:
  /// Photographs of different sizes; number 2 is broken.
  void SetUp() override {
    for (int i = 0; i < 6; ++i) {
      const std::string path = folder_ / (std::to_string(i) + ".ppm");
      paths_.push_back(path);
      write_photograph(path, 30 + 5 * i, 44, 40U * static_cast<uint32_t>(i), static_cast<uint64_t>(i));
    }
    write_text(paths_[2], "P6\n9999");
  }
  Dataset dataset(bool strict = false) const {
    return {{},
            Tensor::from(std::vector<int64_t>{0, 1, 2, 3, 4, 5}, {6}),
            std::vector<std::string>(6, "class"),
            std::make_shared<ImageFiles>(paths_, Framing{16, 20}, strict)};
  }

  test::TemporaryFolder folder_;
  std::vector<std::string> paths_;
};

TEST(Framing, KeepsTheUsualMargin) {
  EXPECT_EQ(framing_for(224).shorter_side, 256);
  EXPECT_EQ(framing_for(128).shorter_side, 146);
}

TEST_F(Files, ReadsTheCentre) {
  const Dataset images = dataset();
  std::vector<uint8_t> pixels(16 * 16 * 3);
  ASSERT_TRUE(images.files->read(1, pixels));
  EXPECT_EQ(pixels, center_crop(resize_shorter_side(read_image(paths_[1]), 20), 16).pixels);
}

TEST_F(Files, RemembersWhatIsBrokenAcrossSelections) {
  const Dataset images = dataset();
  const Dataset memory = images.in_memory();
  EXPECT_THAT(memory.labels.to_vector<int64_t>(), ElementsAre(0, 1, 3, 4, 5));
  EXPECT_EQ(memory.images.shape(), Shape({5, 16, 16, 3}));
  const Dataset some = images.select({4, 2}).in_memory();
  EXPECT_THAT(some.labels.to_vector<int64_t>(), ElementsAre(4));
  ASSERT_EQ(images.files->broken().size(), 1U);
  EXPECT_EQ(images.files->broken().front().path, paths_[2]);
  EXPECT_THAT(images.files->broken().front().reason, HasSubstr(paths_[2]));
  EXPECT_THROW(dataset(true).in_memory(), Error);
}

TEST_F(Files, LoadersLeaveOutWhatIsBroken) {
  for (const int workers : {0, 2}) {
    DataLoader loader(dataset(), {.batch = 4, .workers = workers});
    std::vector<std::vector<int64_t>> labels;
    for (const Batch& batch : loader) {
      EXPECT_EQ(batch.images.size(0), batch.labels.size(0));
      labels.push_back(batch.labels.to_vector<int64_t>());
    }
    EXPECT_THAT(labels, ElementsAre(ElementsAre(0, 1, 3), ElementsAre(4, 5)));
  }
  DataLoader strict(dataset(true), {.batch = 4});
  EXPECT_THROW(*strict.begin(), Error);
  DataLoader broken(dataset().select({2}), {.batch = 4});
  EXPECT_THROW(*broken.begin(), Error);
}

TEST_F(Files, RandomPartsDependOnSeedAndEpochAlone) {
  const auto epoch = [&](int workers, int64_t number) {
    DataLoader loader(dataset(), {.batch = 2,
                                  .shuffle = true,
                                  .seed = 5,
                                  .workers = workers,
                                  .random_resized_crop = RandomResizedCropOptions{.size = 16},
                                  .augment = {random_flip()}});
    loader.start(number);
    std::vector<std::vector<float>> batches;
    for (Batch batch; loader.next(batch);) batches.push_back(batch.images.to_vector<float>());
    return batches;
  };
  EXPECT_EQ(epoch(0, 3), epoch(3, 3));
  EXPECT_NE(epoch(0, 3), epoch(0, 4));
}

TEST_F(Files, RefusesWrongUse) {
  EXPECT_THROW(ImageFiles(paths_, Framing{24, 20}), Error);
  EXPECT_THROW(DataLoader(dataset().in_memory(), {.random_resized_crop = RandomResizedCropOptions{}}), Error);
  EXPECT_THROW(DataLoader(dataset(), {.random_resized_crop = RandomResizedCropOptions{.size = 20}}), Error);
  std::vector<uint8_t> short_of_room(10);
  EXPECT_THROW(dataset().files->read(0, short_of_room), Error);
  EXPECT_THROW(dataset().select({6}), Error);
}

}  // namespace
}  // namespace ds
