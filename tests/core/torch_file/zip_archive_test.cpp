#include "core/torch_file/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/torch_file/pieces.h"

namespace ds::torch_file {
namespace {

using test::little_endian;
using test::zip_of;
using test::ZipEntry;
using ::testing::HasSubstr;

/// The message of the error that reading all that is in the archive gives; empty when it can be read.
std::string error_of(const std::string& bytes, const std::string& name = "a/x") {
  try {
    const ZipArchive archive(bytes);
    check_crc(archive.content(name), name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ZipArchive, FindsWhatIsStored) {
  const std::string file = zip_of({{"a/x", "first"}, {"a/y", ""}, {"b/z", "last"}});
  const ZipArchive archive(file);
  EXPECT_EQ(archive.content("a/x").bytes, "first");
  EXPECT_EQ(archive.content("a/y").bytes, "");
  EXPECT_EQ(archive.content("b/z").bytes, "last");
  EXPECT_TRUE(archive.contains("a/y"));
  EXPECT_FALSE(archive.contains("y"));
  EXPECT_EQ(archive.only_entry("/z"), "b/z");
  EXPECT_THROW(archive.only_entry("/w"), Error);
  EXPECT_THROW(ZipArchive(zip_of({{"a/x", ""}, {"b/x", ""}})).only_entry("/x"), Error);
}

TEST(ZipArchive, RefusesWhatIsNotStored) {
  EXPECT_THAT(error_of(zip_of({{"a/x", "first", 8}})), HasSubstr("'a/x' is compressed (method 8)"));
  std::string encrypted = zip_of({{"a/x", "first"}});
  encrypted[encrypted.find("PK\x01\x02") + 8] = 1;
  EXPECT_THAT(error_of(encrypted), HasSubstr("'a/x' is encrypted"));
  EXPECT_THAT(error_of(zip_of({{"a/x", "first"}}), "a/y"), HasSubstr("has no entry 'a/y'"));
}

TEST(ZipArchive, RefusesDamage) {
  std::string damaged = zip_of({{"a/x", "first"}});
  damaged[damaged.find("first")] = 'F';
  EXPECT_THAT(error_of(damaged), HasSubstr("the file is damaged"));
  EXPECT_THAT(error_of(zip_of({{"a/x", ""}, {"a/x", ""}})), HasSubstr("'a/x' is there twice"));
  EXPECT_THAT(error_of(zip_of({{"a/x", ""}}) + "comment"), HasSubstr("or something follows"));
}

/// The file with a number of 4 bytes replaced, at a distance from a signature.
std::string with_number(std::string file, const std::string& signature, size_t distance, uint32_t number) {
  return file.replace(file.rfind(signature) + distance, 4, little_endian(number));
}

TEST(ZipArchive, RefusesPlacesBeyondTheFile) {
  const std::string file = zip_of({{"a/x", "first"}});
  const std::string entry = "PK\x01\x02";
  const std::string end = "PK\x05\x06";
  ASSERT_EQ(error_of(file), "");
  const auto sized = with_number(with_number(file, entry, 20, 0x7fffffff), entry, 24, 0x7fffffff);
  EXPECT_THAT(error_of(sized), HasSubstr("'a/x': 2147483647 bytes are expected"));
  EXPECT_THAT(error_of(with_number(file, entry, 24, 6)), HasSubstr("compressed"));
  EXPECT_THAT(error_of(with_number(file, entry, 42, 0x7fffffff)), HasSubstr("begin at byte 2147483647"));
  EXPECT_THAT(error_of(with_number(file, entry, 42, 1)), HasSubstr("has no header at byte 1"));
  EXPECT_THAT(error_of(with_number(file, end, 12, 0x7fffffff)), HasSubstr("the list of entries is said"));
  EXPECT_THAT(error_of(with_number(file, end, 16, 0)), HasSubstr("the list of entries is said"));
  EXPECT_THAT(error_of(with_number(file, end, 8, 0x00020002)), HasSubstr("has 1 entries, expected 2"));
  std::string renamed = file;
  renamed[renamed.find("a/x")] = 'b';
  EXPECT_THAT(error_of(renamed), HasSubstr("its header has another name"));
}

/// One entry of which all sizes and places are in the 64-bit extension.
std::string zip64(uint64_t size, uint64_t list_bytes_more = 0) {
  const std::string content = "first";
  const std::string name = "a/x";
  const uint32_t see_extension = 0xffffffff;
  const auto crc = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(content.data()), 5));
  const std::string extra = little_endian(uint16_t{1}) + little_endian(uint16_t{24}) + little_endian(size) +
                            little_endian(size) + little_endian(uint64_t{0});
  const std::string common = std::string(8, '\0') + little_endian(crc) + little_endian(see_extension) +
                             little_endian(see_extension) + little_endian(uint16_t{3});
  const std::string local =
      "PK\x03\x04" + std::string(2, '\0') + common + std::string(2, '\0') + name + content;
  const std::string list = "PK\x01\x02" + std::string(4, '\0') + common +
                           little_endian(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') +
                           little_endian(see_extension) + name + extra;
  const uint64_t end64 = local.size() + list.size();
  return local + list + "PK\x06\x06" + std::string(20, '\0') + little_endian(uint64_t{1}) +
         little_endian(uint64_t{1}) + little_endian(list.size() + list_bytes_more) +
         little_endian(uint64_t{local.size()}) + "PK\x06\x07" + std::string(4, '\0') + little_endian(end64) +
         little_endian(uint32_t{1}) + "PK\x05\x06" + std::string(4, '\0') + std::string(12, '\xff') +
         std::string(2, '\0');
}

TEST(ZipArchive, ReadsTheExtensionTo64Bits) {
  EXPECT_EQ(error_of(zip64(5)), "");
  EXPECT_THAT(error_of(zip64(uint64_t{1} << 63)), HasSubstr("9223372036854775808 bytes are expected"));
  EXPECT_THAT(error_of(zip64(5, uint64_t{1} << 63)), HasSubstr("the list of entries is said"));
}

}  // namespace
}  // namespace ds::torch_file
