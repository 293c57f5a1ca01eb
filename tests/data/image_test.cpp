#include "data/image.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <limits>

#include "core/error.h"
#include "data/codecs/jpeg.h"
#include "data/resize.h"
#include "tests/data/images.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Names of the files within the fixtures.
std::vector<std::string> file_names() {
  std::vector<std::string> names;
  for (const std::string& name : test::image_fixture_names("decode/")) {
    if (name.ends_with("/file")) names.push_back(name.substr(0, name.size() - 5));
  }
  return names;
}

std::vector<uint8_t> file_of(const std::string& name) {
  return test::fixture_bytes("decode/" + name + "/file");
}

bool is_jpeg(const std::string& name) { return name.ends_with(".jpg"); }

class ImageFile : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Decode, ImageFile, testing::ValuesIn(file_names()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '.', '_');
  return name;
});

/// Pillow uses libjpeg-turbo too: nothing may differ. stb_image has its own rounding.
TEST_P(ImageFile, HasThePixelsOfPillow) {
  const Image image = decode_image(file_of(GetParam()), GetParam());
  const Image expected = test::fixture_image("decode/" + GetParam() + "/pixels");
  const bool exact = codecs::has_libjpeg() || !is_jpeg(GetParam());
  EXPECT_LE(test::worst_difference(image, expected), exact ? 0 : 16);
  EXPECT_EQ(image_size(file_of(GetParam()), GetParam()), Size2d(expected.height, expected.width));
}

TEST_P(ImageFile, ReadsAnyPartAlone) {
  const std::vector<uint8_t> file = file_of(GetParam());
  const Image image = decode_image(file, GetParam());
  Generator generator(1);
  for (int64_t trial = 0; trial < test::trials(60); ++trial) {
    const Box box = test::random_box({image.height, image.width}, generator);
    ASSERT_EQ(decode_image(file, GetParam(), {.box = box}), crop(image, box))
        << box.height << " x " << box.width << " at " << box.top << ", " << box.left;
  }
}

TEST_P(ImageFile, RefusesABoxThatIsNotWithin) {
  const std::vector<uint8_t> file = file_of(GetParam());
  const Size2d size = image_size(file, GetParam());
  const auto [height, width] = std::pair(size.height, size.width);
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const Box& box :
       {Box{0, 0, 0, 1}, Box{0, 0, 1, 0}, Box{-1, 0, 1, 1}, Box{0, -1, 1, 1}, Box{0, 0, height + 1, 1},
        Box{0, 0, 1, width + 1}, Box{height, 0, 1, 1}, Box{kHuge, 0, kHuge, 1}, Box{0, kHuge, 1, kHuge}}) {
    EXPECT_THROW(decode_image(file, GetParam(), {.box = box}), Error) << box.top << ", " << box.left;
  }
}

TEST_P(ImageFile, IsRefusedWhenItIsTruncated) {
  const std::vector<uint8_t> file = file_of(GetParam());
  for (const double share : {0.0, 0.3, 0.7, 0.9}) {
    const auto size = static_cast<size_t>(share * static_cast<double>(file.size()));
    EXPECT_THROW(decode_image(std::span(file).first(size), GetParam()), Error)
        << size << " of " << file.size();
  }
}

/// Any damage: an image of the claimed size or an error, whatever the bytes.
TEST_P(ImageFile, SurvivesDamage) {
  const std::vector<uint8_t> file = file_of(GetParam());
  Generator generator(1);
  int64_t errors = 0;
  const int64_t trials = test::trials(400);
  for (int64_t trial = 0; trial < trials; ++trial) {
    std::vector<uint8_t> damaged = file;
    const auto place = [&] { return generator.below(static_cast<uint32_t>(damaged.size())); };
    for (uint32_t changes = 1 + generator.below(8); changes > 0; --changes) {
      damaged[place()] = static_cast<uint8_t>(generator.word());
    }
    if (generator.below(4) == 0) damaged.resize(1 + place());
    try {
      const Size2d size = image_size(damaged, GetParam());
      DecodeOptions options{.least_side = generator.below(10)};
      if (generator.below(2) == 0) options.box = test::random_box(size, generator);
      const Image image = decode_image(damaged, GetParam(), options);
      ASSERT_EQ(image.pixels.size(), static_cast<size_t>(image.height * image.width * 3));
      ASSERT_LE(image.height, size.height);
      ASSERT_LE(image.width, size.width);
    } catch (const Error& error) {
      ++errors;
      ASSERT_THAT(error.what(), HasSubstr(GetParam()));
    }
  }
  EXPECT_GT(errors, trials / 10);
}

/// Bytes of a JPEG whose frame header says another size.
std::vector<uint8_t> claiming(std::vector<uint8_t> jpeg, int height, int width) {
  size_t at = 2;
  while (jpeg[at + 1] != 0xC0) at += 2 + (size_t{jpeg[at + 2]} << 8 | jpeg[at + 3]);
  jpeg[at + 5] = static_cast<uint8_t>(height >> 8);
  jpeg[at + 6] = static_cast<uint8_t>(height);
  jpeg[at + 7] = static_cast<uint8_t>(width >> 8);
  jpeg[at + 8] = static_cast<uint8_t>(width);
  return jpeg;
}

std::string error_of(const std::vector<uint8_t>& file) {
  try {
    decode_image(file, "the file");
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(Decode, RefusesSizesThatAFileCannotHold) {
  const std::vector<uint8_t> jpeg = file_of("444.jpg");
  EXPECT_THAT(error_of(claiming(jpeg, 65500, 65500)),
              AllOf(HasSubstr("the file"), HasSubstr("65500 x 65500")));
  EXPECT_THAT(error_of(claiming(jpeg, 4000, 16000)), HasSubstr("cannot hold"));
  std::vector<uint8_t> png = file_of("grey.png");
  png[18] = 0x40;  // the third bytes of the width and of the height
  png[22] = 0x20;
  EXPECT_THAT(error_of(png), HasSubstr("cannot hold"));
  png[17] = 0x01;
  EXPECT_THAT(error_of(png), HasSubstr("sides of at most 65535"));
}

TEST(Decode, NamesTheFileAndTheReason) {
  EXPECT_THAT(error_of({}), HasSubstr("[decode_image] the file: "));
  EXPECT_THAT(error_of({'h', 'e', 'l', 'l', 'o'}), HasSubstr("the file"));
  EXPECT_THAT(error_of(file_of("grey.png")), "none");
  const test::TemporaryFolder folder;
  EXPECT_THROW(read_image(folder / "absent.jpg"), Error);
  EXPECT_THROW(read_image(folder.path()), Error);
}

TEST(Decode, RefusesDeepPnm) {
  EXPECT_THAT(error_of({'P', '5', ' ', '1', ' ', '1', ' ', '6', '5', '5', '3', '5', '\n', 1, 2}),
              HasSubstr("16 bits"));
}

/// At a fraction, an image looks as one that is resized.
TEST(Decode, TakesAFractionOfAJpegWhereTheShorterSideAllowsIt) {
  if (!codecs::has_libjpeg()) GTEST_SKIP() << "needs libjpeg-turbo";
  const std::vector<uint8_t> file = file_of("444.jpg");
  const Image whole = decode_image(file, "444");
  ASSERT_EQ(Size2d(whole.height, whole.width), Size2d(19, 27));
  EXPECT_EQ(decode_image(file, "444", {.least_side = 10}), whole);
  const Image half = decode_image(file, "444", {.least_side = 9});
  ASSERT_EQ(Size2d(half.height, half.width), Size2d(10, 14));
  const Image expected = resize(whole, {10, 14});
  double sum = 0.0;
  for (size_t i = 0; i < half.pixels.size(); ++i) sum += std::abs(half.pixels[i] - expected.pixels[i]);
  EXPECT_LE(sum / static_cast<double>(half.pixels.size()), 10.0);
  const Image quarter = decode_image(file, "444", {.least_side = 4});
  EXPECT_EQ(Size2d(quarter.height, quarter.width), Size2d(5, 7));
}

/// The shorter side of the part counts, and of the fraction whole pixels that cover it are kept.
TEST(Decode, TakesAFractionOfAPart) {
  if (!codecs::has_libjpeg()) GTEST_SKIP() << "needs libjpeg-turbo";
  const std::vector<uint8_t> file = file_of("420.jpg");
  const Image half = decode_image(file, "420", {.least_side = 9});
  const Image part = decode_image(file, "420", {.box = Box{2, 1, 9, 7}, .least_side = 3});
  EXPECT_EQ(part, crop(half, {1, 0, 5, 4}));
  const Image turned =
      decode_image(file_of("orientation_6.jpg"), "6", {.box = Box{2, 1, 9, 7}, .least_side = 3});
  EXPECT_EQ(Size2d(turned.height, turned.width), Size2d(5, 4));
}

TEST(Decode, ReadsPhotographsAndTheirParts) {
  DS_REQUIRE_DATA(test::photographs_folder());
  Generator generator(1);
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::photographs_folder())) {
    const std::vector<uint8_t> file = read_bytes(entry.path());
    const Image image = decode_image(file, entry.path());
    EXPECT_EQ(image_size(file, entry.path()), Size2d(image.height, image.width)) << entry.path();
    const Box box = test::random_box({image.height, image.width}, generator);
    EXPECT_EQ(decode_image(file, entry.path(), {.box = box}), crop(image, box)) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 1);
}

TEST(Crop, CopiesAPart) {
  const Image image{
      .height = 2, .width = 3, .pixels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}};
  const Image expected{.height = 1, .width = 2, .pixels = {12, 13, 14, 15, 16, 17}};
  EXPECT_EQ(crop(image, {1, 1, 1, 2}), expected);
  EXPECT_THROW(crop(image, {1, 1, 2, 2}), Error);
}

}  // namespace
}  // namespace ds
