#include "data/cifar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Dataset random_images(int64_t count, uint64_t seed) {
  Dataset dataset{Tensor::empty({count, 32, 32, 3}, DType::kU8), Tensor::empty({count}, DType::kI64), {}};
  Generator generator(seed);
  for (uint8_t& pixel : dataset.images.span<uint8_t>()) pixel = static_cast<uint8_t>(generator.below(256));
  for (int64_t& label : dataset.labels.span<int64_t>()) label = generator.below(10);
  return dataset;
}

template <class Body>
std::string error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Cifar, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  Dataset train = random_images(23, 1);
  const Dataset test = random_images(4, 2);
  train.classes = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  write_cifar10(folder.path(), train, test);
  const Dataset read_train = cifar10(folder.path(), Split::kTrain);
  const Dataset read_test = cifar10(folder.path(), Split::kTest);
  EXPECT_EQ(read_train.images.to_vector<uint8_t>(), train.images.to_vector<uint8_t>());
  EXPECT_EQ(read_train.labels.to_vector<int64_t>(), train.labels.to_vector<int64_t>());
  EXPECT_EQ(read_test.images.to_vector<uint8_t>(), test.images.to_vector<uint8_t>());
  EXPECT_EQ(read_train.classes, train.classes);
}

TEST(Cifar, RecordsHoldPlanes) {
  const TemporaryFolder folder;
  std::string record(3073, '\0');
  record[0] = 3;
  record[1] = 10;                // R of the first pixel
  record[1 + 1024 + 33] = 20;    // G of row 1, column 1
  record[1 + 2048 + 1023] = 30;  // B of the last pixel
  write(folder / "test_batch.bin", record);
  const Dataset dataset = cifar10(folder.path(), Split::kTest);
  const auto* pixels = dataset.images.data<uint8_t>();
  EXPECT_EQ(dataset.labels.to_vector<int64_t>(), std::vector<int64_t>{3});
  EXPECT_EQ(pixels[0], 10);
  EXPECT_EQ(pixels[33 * 3 + 1], 20);
  EXPECT_EQ(pixels[1023 * 3 + 2], 30);
  EXPECT_EQ(dataset.classes.at(9), "9");  // there is no batches.meta.txt
}

TEST(Cifar, LooksInTheUsualSubfolder) {
  const TemporaryFolder folder;
  write_cifar10(folder / "cifar-10-batches-bin", random_images(5, 1), random_images(2, 2));
  EXPECT_EQ(cifar10(folder.path(), Split::kTrain).size(), 5);
}

TEST(Cifar, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  const auto read = [&] { cifar10(folder.path(), Split::kTest); };
  EXPECT_THAT(error_of(read), AllOf(HasSubstr(folder / "test_batch.bin"),
                                    HasSubstr(folder / "cifar-10-batches-bin/test_batch.bin"),
                                    HasSubstr("tools/get_cifar10.sh")));
  write(folder / "test_batch.bin", std::string(3073 + 100, '\0'));
  EXPECT_THAT(error_of(read),
              AllOf(HasSubstr("test_batch.bin: has 3173 bytes, expected a multiple of 3073")));
  write(folder / "test_batch.bin", "");
  EXPECT_THAT(error_of(read), HasSubstr("has 0 bytes"));
  std::string records(2 * 3073, '\0');
  records[3073] = 10;
  write(folder / "test_batch.bin", records);
  EXPECT_THAT(error_of(read), HasSubstr("record 1 has label 10, expected one below 10"));

  write_cifar10(folder.path(), random_images(5, 1), random_images(1, 2));
  std::filesystem::remove(folder / "data_batch_3.bin");
  EXPECT_THAT(error_of([&] { cifar10(folder.path(), Split::kTrain); }),
              HasSubstr("data_batch_3.bin: cannot be opened"));
}

TEST(Cifar, RefusesToWriteOtherImages) {
  const TemporaryFolder folder;
  const Dataset good = random_images(5, 1);
  Dataset bad = random_images(5, 1);
  bad.labels.data<int64_t>()[2] = 256;
  EXPECT_THAT(error_of([&] { write_cifar10(folder / "x", bad, good); }), HasSubstr("image 2 has label 256"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  bad = random_images(5, 1);
  bad.images = bad.images.reshape({5, 16, 64, 3});
  EXPECT_THAT(error_of([&] { write_cifar10(folder / "x", good, bad); }),
              HasSubstr("expected [5, 32, 32, 3]"));
}

TEST(Cifar, HundredHasFineLabels) {
  const TemporaryFolder folder;
  std::string record(3074, '\5');
  record[0] = 19;
  record[1] = 99;
  write(folder / "train.bin", record);
  const Dataset dataset = cifar100(folder.path(), Split::kTrain);
  EXPECT_EQ(dataset.labels.to_vector<int64_t>(), std::vector<int64_t>{99});
  EXPECT_EQ(dataset.classes.size(), 100U);
  EXPECT_EQ(*dataset.images.data<uint8_t>(), 5);
}

TEST(Cifar, ReadsTheRealSet) {
  DS_REQUIRE_DATA(test::data_folder() + "/cifar-10-batches-bin");
  const Dataset train = cifar10(test::data_folder(), Split::kTrain);
  EXPECT_EQ(train.size(), 50000);
  EXPECT_EQ(train.classes.at(0), "airplane");
  std::vector<int64_t> counts(10);
  for (const int64_t label : train.labels.span<int64_t>()) ++counts[static_cast<size_t>(label)];
  EXPECT_EQ(counts, std::vector<int64_t>(10, 5000));
  // The mean that everyone uses, (0.4914, 0.4822, 0.4465), shows that the channels are in their places.
  std::vector<double> sums(3);
  const auto pixels = train.images.span<uint8_t>();
  for (size_t i = 0; i < pixels.size(); ++i) sums[i % 3] += pixels[i];
  const double scale = 255.0 * static_cast<double>(pixels.size()) / 3.0;
  for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(sums[c] / scale, cifar10_normalization().mean[c], 1e-4) << c;
}

TEST(Dataset, SlicesAndSelects) {
  const Dataset dataset = random_images(6, 3);
  const Dataset slice = dataset.slice(2, 5);
  EXPECT_EQ(slice.size(), 3);
  EXPECT_TRUE(slice.images.slice(1, 2).same_memory(dataset.images.slice(3, 4)));
  const Dataset chosen = dataset.select({5, 0, 5});
  const auto labels = dataset.labels.to_vector<int64_t>();
  EXPECT_THAT(chosen.labels.to_vector<int64_t>(), ElementsAre(labels[5], labels[0], labels[5]));
  EXPECT_EQ(chosen.images.slice(2, 3).to_vector<uint8_t>(), dataset.images.slice(5, 6).to_vector<uint8_t>());
  EXPECT_THAT(error_of([&] { dataset.select({6}); }), HasSubstr("image 6, expected one below 6"));
}

}  // namespace
}  // namespace ds
