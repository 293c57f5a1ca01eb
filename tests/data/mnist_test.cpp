#include "data/mnist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>

#include "core/error.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::TemporaryFolder;
using ::testing::HasSubstr;

std::string big_endian(uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16), static_cast<char>(number >> 8),
          static_cast<char>(number)};
}

/// Two images, all 1 and all 2, with labels 7 and 4.
std::string images_file() {
  return big_endian(0x803) + big_endian(2) + big_endian(28) + big_endian(28) + std::string(784, '\1') +
         std::string(784, '\2');
}
std::string labels_file() { return big_endian(0x801) + big_endian(2) + "\7\4"; }

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write_compressed(const std::string& path, const std::string& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

std::string error_of(const std::string& folder) {
  try {
    mnist(folder, Split::kTest);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_the_two_images(const Dataset& dataset) {
  EXPECT_EQ(dataset.images.shape(), Shape({2, 28, 28, 1}));
  EXPECT_EQ(dataset.images.data<uint8_t>()[783], 1);
  EXPECT_EQ(dataset.images.data<uint8_t>()[784], 2);
  EXPECT_EQ(dataset.labels.to_vector<int64_t>(), (std::vector<int64_t>{7, 4}));
  EXPECT_EQ(dataset.classes.size(), 10U);
}

TEST(Mnist, ReadsPlainFiles) {
  const TemporaryFolder folder;
  write(folder / "t10k-images-idx3-ubyte", images_file());
  write(folder / "t10k-labels-idx1-ubyte", labels_file());
  expect_the_two_images(mnist(folder.path(), Split::kTest));
}

TEST(Mnist, ReadsCompressedFilesOfTheSubfolderUnderTheOtherNames) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "mnist");
  write_compressed(folder / "mnist/train-images.idx3-ubyte.gz", images_file());
  write_compressed(folder / "mnist/train-labels.idx1-ubyte.gz", labels_file());
  expect_the_two_images(mnist(folder.path(), Split::kTrain));
}

TEST(Mnist, NamesWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string images = folder / "t10k-images-idx3-ubyte";
  const std::string labels = folder / "t10k-labels-idx1-ubyte";
  EXPECT_THAT(error_of(folder.path()), HasSubstr("found neither t10k-images-idx3-ubyte nor"));
  write(images, images_file());
  EXPECT_THAT(error_of(folder.path()), HasSubstr("found neither t10k-labels-idx1-ubyte nor"));
  write(labels, labels_file());
  EXPECT_EQ(error_of(folder.path()), "");

  write(images, labels_file());
  EXPECT_THAT(error_of(folder.path()), HasSubstr("begins with 0x00000801, expected 0x00000803"));
  write(images, images_file().substr(0, 1000));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("ends after 1000 bytes, expected 584 more"));
  write(images, images_file() + "x");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("goes on after 1584 bytes"));
  write(images, big_endian(0x803) + big_endian(2) + big_endian(32) + big_endian(28));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("images of 32 x 28, expected 28 x 28"));
  write(images, big_endian(0x803) + big_endian(0xFFFFFFFF) + big_endian(28) + big_endian(28));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("ends after 16 bytes"));

  write(images, images_file());
  write(labels, big_endian(0x801) + big_endian(2) + "\7\12");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("label 1 is 10, expected one below 10"));
  write(labels, big_endian(0x801) + big_endian(1) + "\7");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("2 t10k images and 1 labels"));
}

TEST(Mnist, NamesADamagedArchive) {
  const TemporaryFolder folder;
  const std::string path = folder / "t10k-images-idx3-ubyte.gz";
  write_compressed(path, images_file());
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  write(path, bytes.substr(0, bytes.size() - 6));
  EXPECT_THAT(error_of(folder.path()), HasSubstr(path));
  bytes[bytes.size() - 8] = static_cast<char>(bytes[bytes.size() - 8] ^ 1);  // the checksum
  write(path, bytes);
  EXPECT_THAT(error_of(folder.path()), HasSubstr("damaged after"));
}

TEST(Mnist, ReadsTheRealSet) {
  DS_REQUIRE_DATA(test::data_folder() + "/mnist");
  const Dataset train = mnist(test::data_folder(), Split::kTrain);
  EXPECT_EQ(train.size(), 60000);
  double sum = 0.0;
  for (const uint8_t pixel : train.images.span<uint8_t>()) sum += pixel;
  EXPECT_NEAR(sum / 255.0 / static_cast<double>(train.images.numel()), mnist_normalization().mean[0], 1e-4);
  EXPECT_EQ(mnist(test::data_folder(), Split::kTest).size(), 10000);
}

}  // namespace
}  // namespace ds
