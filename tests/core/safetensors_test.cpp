#include "core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// The bytes of a file with this header and data.
std::string file_of(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

/// The message of the error that opening these bytes gives; empty when they open.
std::string error_of(const std::string& path, const std::string& bytes) {
  overwrite(path, bytes);
  try {
    const SafetensorsFile file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<NamedTensor> sample_tensors() {
  return {{"conv.weight", Tensor::from(std::vector<float>{1.5F, -2.0F, 0.0F, 3.25F, 1e-30F, 7.0F}, {2, 3})},
          {"codes", Tensor::from(std::vector<uint8_t>{1, 2, 255}, {3})},
          {"step", Tensor::from(std::vector<int64_t>{-5}, {})},
          {"none", Tensor::empty({0, 4})}};
}

class SafetensorsTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "file.safetensors";
};

TEST_F(SafetensorsTest, GivesBackWhatWasWritten) {
  write_safetensors(path_, sample_tensors(), {{"format", "pt"}, {"name", "\"quoted\"\n\u00e9"}});
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "pt"}, {"name", "\"quoted\"\n\u00e9"}}));
  EXPECT_THAT(file.names(), ElementsAre("conv.weight", "codes", "step", "none"));
  EXPECT_EQ(file.entry("conv.weight").shape, Shape({2, 3}));
  EXPECT_EQ(file.entry("codes").dtype, DType::kU8);
  for (const NamedTensor& tensor : sample_tensors()) {
    const Tensor read = file.read(tensor.name);
    ASSERT_EQ(read.shape(), tensor.value.shape()) << tensor.name;
    ASSERT_EQ(read.dtype(), tensor.value.dtype()) << tensor.name;
    if (read.numel() > 0) {
      EXPECT_EQ(std::memcmp(read.raw(), tensor.value.raw(), read.bytes()), 0) << tensor.name;
    }
  }
}

TEST_F(SafetensorsTest, KeepsEveryElementType) {
  std::vector<NamedTensor> tensors;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBf16, DType::kU8, DType::kI8, DType::kI16,
                            DType::kI32, DType::kI64}) {
    Tensor tensor = Tensor::empty({3}, dtype);
    std::memset(tensor.raw(), 0x41 + static_cast<int>(dtype), tensor.bytes());
    tensors.push_back({std::string(name_of(dtype)), tensor});
  }
  write_safetensors(path_, tensors);
  const SafetensorsFile file(path_);
  for (const NamedTensor& tensor : tensors) {
    const Tensor read = file.read(tensor.name);
    ASSERT_EQ(read.dtype(), tensor.value.dtype());
    EXPECT_EQ(std::memcmp(read.raw(), tensor.value.raw(), read.bytes()), 0) << tensor.name;
  }
}

TEST_F(SafetensorsTest, WritesTheLayoutOfTheFormat) {
  write_safetensors(path_, {{"a", Tensor::from(std::vector<uint8_t>{7, 8}, {2})}}, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(contents(path_), file_of(padded, "\x07\x08"));
}

TEST_F(SafetensorsTest, AsksForOneValueAfterTheOther) {
  const std::vector<TensorSpec> specs = {{"a", DType::kF32, {2}}, {"b", DType::kU8, {}}};
  const std::vector<Tensor> values = {Tensor::from(std::vector<float>{1, 2}, {2}),
                                      Tensor::from(std::vector<uint8_t>{3}, {})};
  std::vector<size_t> asked;
  write_safetensors(path_, specs,
                    [&](size_t i) {
                      asked.push_back(i);
                      return values[i];
                    },
                    {{"k", "v"}});
  EXPECT_THAT(asked, ElementsAre(0, 1));
  const std::string streamed = contents(path_);
  write_safetensors(path_, {{"a", values[0]}, {"b", values[1]}}, {{"k", "v"}});
  EXPECT_EQ(streamed, contents(path_));

  const std::string other = folder_ / "other";
  EXPECT_THROW(write_safetensors(other, specs, [&](size_t) { return values[0]; }), Error);
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(SafetensorsTest, ReadsAnEmptyFile) {
  write_safetensors(path_, {});
  const SafetensorsFile file(path_);
  EXPECT_TRUE(file.names().empty());
  EXPECT_TRUE(file.metadata().empty());
}

TEST_F(SafetensorsTest, KeepsTheOldContentOpen) {
  write_safetensors(path_, {{"a", Tensor::from(std::vector<uint8_t>{1}, {1})}});
  const SafetensorsFile old(path_);
  write_safetensors(path_, {{"a", Tensor::from(std::vector<uint8_t>{2}, {1})}});
  EXPECT_EQ(*old.read("a").data<uint8_t>(), 1);
  EXPECT_EQ(*SafetensorsFile(path_).read("a").data<uint8_t>(), 2);
}

struct BadHeader {
  const char* name;
  const char* header;
  const char* message;
};

class BadHeaderTest : public ::testing::TestWithParam<BadHeader> {};

// Eight bytes of data follow each header.
INSTANTIATE_TEST_SUITE_P(
    Safetensors, BadHeaderTest,
    ::testing::Values(
        BadHeader{"NotJson", R"({"a": 1,,})", "not JSON at byte 16"},
        BadHeader{"NotAnObject", R"([1, 2])", "the header is array, expected an object"},
        BadHeader{"NotUtf8", "{\"a\xff\": 1}", "not JSON at byte 11"},
        BadHeader{"HugeNumber", R"({"a": 1e999})", "the header cannot be read"},
        BadHeader{"TooDeep", R"({"a": {"shape": [[1]]}})", "nested more than 3 deep"},
        BadHeader{"TwoTensorsOfOneName",
                  R"({"a": {"dtype":"U8","shape":[8],"data_offsets":[0,8]},
                      "a": {"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
                  "has 'a' twice"},
        BadHeader{"TwoShapes", R"({"a": {"dtype":"U8","shape":[8],"shape":[8],"data_offsets":[0,8]}})",
                  "has 'shape' twice"},
        BadHeader{"EntryIsNoObject", R"({"a": 3})", "tensor 'a': is number, expected an object"},
        BadHeader{"NoShape", R"({"a": {"dtype":"U8","data_offsets":[0,8]}})", "tensor 'a': has no shape"},
        BadHeader{"Half", R"({"a": {"dtype":"F16","shape":[4],"data_offsets":[0,8]}})",
                  "dtype \"F16\" is not supported"},
        BadHeader{"Boolean", R"({"a": {"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})",
                  "dtype \"BOOL\" is not supported"},
        BadHeader{"TypeIsNoString", R"({"a": {"dtype":5,"shape":[8],"data_offsets":[0,8]}})", "dtype is 5"},
        BadHeader{"NegativeSize", R"({"a": {"dtype":"U8","shape":[-8],"data_offsets":[0,8]}})",
                  "shape has the element -8"},
        BadHeader{"FractionalSize", R"({"a": {"dtype":"U8","shape":[8.0],"data_offsets":[0,8]}})",
                  "shape has the element 8.0"},
        BadHeader{"SizeBeyondInt64",
                  R"({"a": {"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]}})",
                  "shape has the element 18446744073709551615"},
        BadHeader{"ProductOverflows",
                  R"({"a": {"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,8]}})",
                  "more elements than int64 can count"},
        BadHeader{"BytesOverflow",
                  R"({"a": {"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}})",
                  "[0, 8] hold 8 bytes, expected those of F64"},
        BadHeader{"TooManyAxes", R"({"a": {"dtype":"U8","shape":[1,1,1,1,1,1,8],"data_offsets":[0,8]}})",
                  "7 axes, expected at most 6"},
        BadHeader{"EndBeforeBegin", R"({"a": {"dtype":"U8","shape":[8],"data_offsets":[8,0]}})",
                  "data_offsets is [8,0]"},
        BadHeader{"ThreeOffsets", R"({"a": {"dtype":"U8","shape":[8],"data_offsets":[0,8,8]}})",
                  "data_offsets is [0,8,8]"},
        BadHeader{"WrongByteCount", R"({"a": {"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
                  "[0, 8] hold 8 bytes, expected those of F32 [3]"},
        BadHeader{"BeyondTheFile", R"({"a": {"dtype":"U8","shape":[12],"data_offsets":[0,12]}})",
                  "the tensors take 12 bytes and the file holds 8: 4 bytes are missing"},
        BadHeader{"TrailingBytes", R"({"a": {"dtype":"U8","shape":[5],"data_offsets":[0,5]}})",
                  "3 bytes follow the last tensor"},
        BadHeader{"Overlap",
                  R"({"a": {"dtype":"U8","shape":[5],"data_offsets":[0,5]},
                      "b": {"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                  "tensor 'b' begins at offset 4, expected 5 (it overlaps the tensor before)"},
        BadHeader{"Gap",
                  R"({"a": {"dtype":"U8","shape":[3],"data_offsets":[0,3]},
                      "b": {"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                  "tensor 'b' begins at offset 4, expected 3 (there is a gap before it)"},
        BadHeader{"MetadataIsNoObject", R"({"__metadata__": "x"})", "__metadata__ is string"},
        BadHeader{"MetadataIsNoString", R"({"__metadata__": {"k": 1}})", "__metadata__ 'k' is number"}),
    [](const auto& info) { return info.param.name; });

TEST_P(BadHeaderTest, IsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "bad.safetensors";
  EXPECT_THAT(error_of(path, file_of(GetParam().header, "12345678")),
              AllOf(HasSubstr(path), HasSubstr(GetParam().message)));
}

TEST_F(SafetensorsTest, NamesWhatIsWrongWithTheFile) {
  EXPECT_THAT(error_of(path_, ""), HasSubstr("has 0 bytes, expected at least 8"));
  EXPECT_THAT(error_of(path_, "GIF89a another file"), HasSubstr("is it a safetensors file?"));
  EXPECT_THAT(error_of(path_, "PK\x03\x04 a zip archive"), HasSubstr("`deepshift import`"));
  EXPECT_THAT(error_of(path_, file_of("{}   ").substr(0, 11)), HasSubstr("2 bytes are missing"));
  EXPECT_THROW(SafetensorsFile(folder_.path()), Error);
  try {
    const SafetensorsFile file(folder_ / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("absent"), HasSubstr("No such file")));
  }
}

TEST_F(SafetensorsTest, NamesAnAbsentTensor) {
  write_safetensors(path_, sample_tensors());
  const SafetensorsFile file(path_);
  EXPECT_THROW(file.read("conv.bias"), Error);
  EXPECT_FALSE(file.contains("conv.bias"));
}

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  write_safetensors(path_, sample_tensors(), {{"format", "pt"}});
  const std::string whole = contents(path_);
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(path_, whole.substr(0, length)), "") << "truncated to " << length << " bytes";
  }
  EXPECT_EQ(error_of(path_, whole), "");
}

TEST_F(SafetensorsTest, SurvivesFlippedBits) {
  write_safetensors(path_, sample_tensors(), {{"format", "pt"}});
  const std::string whole = contents(path_);
  Generator generator(1);
  int64_t refused = 0;
  const int64_t trials = test::trials(3000);
  for (int64_t trial = 0; trial < trials; ++trial) {
    std::string damaged = whole;
    for (uint32_t flip = generator.below(3) + 1; flip > 0; --flip) {
      const size_t at = generator.below(static_cast<uint32_t>(whole.size()));
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << generator.below(8)));
    }
    overwrite(path_, damaged);
    try {
      const SafetensorsFile file(path_);
      for (const std::string& name : file.names()) file.read(name);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, trials / 2);  // most of the file is header
}

TEST_F(SafetensorsTest, RefusesToWriteWhatCannotBeRead) {
  const Tensor one = Tensor::from(std::vector<uint8_t>{1}, {1});
  EXPECT_THROW(write_safetensors(path_, {{"a", one}, {"a", one}}), Error);
  EXPECT_THROW(write_safetensors(path_, {{"__metadata__", one}}), Error);
  EXPECT_THROW(write_safetensors(path_, {{"a", Tensor()}}), Error);
  EXPECT_THROW(write_safetensors(path_, {{"a\xff", one}}), Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace ds
