#include "core/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "core/error.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "tests/core/torch_file/pieces.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using test::global;
using test::integer;
using test::program;
using test::storage;
using test::Storages;
using test::tensor;
using test::text;
using test::tuple;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string pth(const std::string& name) { return test::fixture("torch_files/" + name + ".pth"); }

// ---- What torch.save writes

const char* const kFixtures[] = {
    "network.zip",
    "network.zip_protocol_4",
    "network.zip_protocol_5",
    "network.legacy",
    "network.checkpoint",
    "network.legacy_checkpoint",
    "network.data_parallel",
    "network.legacy_protocol_4",
    "parameters.zip",
    "parameters.legacy",
    "element_types.zip",
    "element_types.legacy",
    "views.zip",
    "views.legacy",
};

class TorchFileFixture : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchFileFixture, HoldsTheTensorsThatPyTorchSaved) {
  const std::string name = GetParam();
  TorchFile file(pth(name));
  const std::string group = name.substr(0, name.find('.'));
  const SafetensorsFile expected(test::fixture("torch_files/" + group + ".safetensors"));
  ASSERT_EQ(file.tensors().size(), expected.names().size());
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    const TensorSpec& spec = file.tensors()[i];
    ASSERT_TRUE(expected.contains(spec.name)) << spec.name;
    const Tensor wanted = expected.read(spec.name);
    const Tensor found = file.read(i);
    EXPECT_EQ(found.shape(), spec.shape) << spec.name;
    EXPECT_EQ(found.dtype(), spec.dtype) << spec.name;
    ASSERT_EQ(found.shape(), wanted.shape()) << spec.name;
    ASSERT_EQ(found.dtype(), wanted.dtype()) << spec.name;
    EXPECT_TRUE(found.bytes() == 0 || std::memcmp(found.raw(), wanted.raw(), found.bytes()) == 0)
        << spec.name;
  }
}

TEST_P(TorchFileFixture, IsRefusedWhereverItIsCut) {
  const test::TemporaryFolder folder;
  const std::string whole = contents(pth(GetParam()));
  const std::string path = folder / "cut.pth";
  for (size_t length = 0; length < whole.size(); ++length) {
    overwrite(path, whole.substr(0, length));
    EXPECT_THROW(TorchFile{path}, Error) << "cut to " << length << " bytes";
  }
}

INSTANTIATE_TEST_SUITE_P(TorchFile, TorchFileFixture, ::testing::ValuesIn(kFixtures), [](const auto& info) {
  std::string name = info.param;
  name[name.find('.')] = '_';
  return name;
});

TEST(TorchFile, SaysWhatWasLeftOutAndRenamed) {
  EXPECT_THAT(TorchFile(pth("network.zip")).notes(), IsEmpty());
  EXPECT_THAT(TorchFile(pth("network.checkpoint")).notes(),
              ElementsAre("took what is under 'state_dict'; left out: 'epoch', 'arch', 'optimizer', "
                          "'best_acc1', 'history', 'scheduler', 'flags', 'big' and 2 more"));
  EXPECT_THAT(
      TorchFile(pth("network.data_parallel")).notes(),
      ElementsAre("took what is under 'net'; left out: 'epoch'", "stripped 'module.' before all names"));
}

TEST(TorchFile, TellsItsFilesFromOthers) {
  EXPECT_TRUE(is_torch_file(contents(pth("network.zip"))));
  EXPECT_TRUE(is_torch_file(contents(pth("network.legacy"))));
  EXPECT_TRUE(is_torch_file(contents(pth("network.legacy_protocol_4"))));
  EXPECT_FALSE(is_torch_file(contents(test::fixture("torch_files/network.safetensors"))));
  EXPECT_FALSE(is_torch_file(""));
}

// ---- Files that PyTorch of today does not write

class TorchFileTest : public ::testing::Test {
 protected:
  /// The message of the error that opening and reading these bytes gives; empty when they can be read.
  std::string error_of(const std::string& bytes) {
    overwrite(path_, bytes);
    try {
      TorchFile file(path_);
      for (size_t i = 0; i < file.tensors().size(); ++i) file.read(i);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  /// The same of a zip file whose state dict is one tensor "w", with four floats as storage '0'.
  std::string error_of_tensor(const std::string& value) { return error_of(zip_of_items(text("w") + value)); }
  static std::string zip_of_items(const std::string& items) {
    return test::zip_file(program(test::dict(items)), four_);
  }
  /// The values of the one tensor of a file.
  std::vector<float> values_of(const std::string& bytes) {
    overwrite(path_, bytes);
    TorchFile file(path_);
    EXPECT_EQ(file.tensors().size(), 1U);
    EXPECT_EQ(file.tensors()[0].name, "w");
    return file.read(0).to_vector<float>();
  }

  static inline const std::string floats_ = test::little_endian(1.0F) + test::little_endian(2.0F) +
                                            test::little_endian(3.0F) + test::little_endian(4.0F);
  static inline const Storages four_ = {{"0", floats_}};
  test::TemporaryFolder folder_;
  std::string path_ = folder_ / "file.pth";
};

TEST_F(TorchFileTest, ReadsAnOrderedDictOfPython2) {
  const std::string pair = "](" + ("U\x01w" + test::vector("0", 4)) + "e";
  const std::string dict = test::call(global("collections", "OrderedDict"), "](" + pair + "e");
  EXPECT_THAT(values_of(test::legacy_file(program(dict), four_)), ElementsAre(1, 2, 3, 4));
}

TEST_F(TorchFileTest, ReadsParametersOfOldVersions) {
  const std::string parameter = global("torch.nn.parameter", "Parameter");
  const std::string data = test::vector("0", 4);
  const std::string state = tuple("\x88\x89)");
  EXPECT_THAT(values_of(zip_of_items(text("w") + test::call(parameter, data) + state + "b")),
              ElementsAre(1, 2, 3, 4));
  const std::string old_state = tuple(data + "NN\x88\x89");
  EXPECT_THAT(values_of(zip_of_items(text("w") + parameter + ")\x81" + old_state + "b")),
              ElementsAre(1, 2, 3, 4));
}

TEST_F(TorchFileTest, ReadsViewsOfStorages) {
  const std::string view = tuple(text("view") + integer(1) + integer(3));
  const std::string viewed = test::tensor(storage("0", 4, view), 1, integer(2), integer(1));
  EXPECT_THAT(values_of(test::legacy_file(program(test::dict(text("w") + viewed)), four_)),
              ElementsAre(3, 4));
  EXPECT_THAT(error_of_tensor(tensor(storage("0", 4, view), 2, integer(2), integer(1))),
              HasSubstr("reach beyond the 3 elements"));
  EXPECT_THAT(error_of_tensor(tensor(storage("0", 4, tuple(text("view") + integer(2) + integer(3))), 0,
                                     integer(2), integer(1))),
              HasSubstr("elements 2 to 2 + 3 of a storage of 4 are viewed"));
}

TEST_F(TorchFileTest, RefusesTensorsBeyondTheirStorage) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  const auto error = [&](int64_t offset, const std::string& sizes, const std::string& strides) {
    return error_of_tensor(tensor(storage("0", 4), offset, sizes, strides));
  };
  EXPECT_EQ(error(0, integer(2) + integer(2), integer(2) + integer(1)), "");
  EXPECT_EQ(error(0, integer(1) + integer(4), integer(most) + integer(1)), "");
  EXPECT_EQ(error(9, integer(0), integer(1)), "");
  const std::string huge = integer(int64_t{1} << 40);
  EXPECT_EQ(error(0, integer(0) + huge + huge, integer(0) + huge + integer(1)), "");
  EXPECT_THAT(error(1, integer(4), integer(1)),
              AllOf(HasSubstr(path_), HasSubstr("tensor 'w'"), HasSubstr("reach beyond the 4 elements")));
  EXPECT_THAT(error(4, "", ""), HasSubstr("reach beyond"));
  EXPECT_THAT(error(most, integer(2), integer(most)), HasSubstr("reach beyond"));
  EXPECT_THAT(error(0, integer(3), integer(most)), HasSubstr("reach beyond"));
  EXPECT_THAT(error(-1, integer(2), integer(1)), HasSubstr("its offset is the integer -1"));
  EXPECT_THAT(error(2, integer(2), integer(-1)), HasSubstr("its stride is the integer -1"));
  EXPECT_THAT(error(0, integer(-2), integer(1)), HasSubstr("its size is the integer -2"));
  EXPECT_THAT(error(0, integer(most) + integer(2), integer(0) + integer(0)), HasSubstr("int64"));
  EXPECT_THAT(error(0, integer(2), ""), HasSubstr("the size [2] and 0 strides"));
  std::string seven;
  for (int axis = 0; axis < 7; ++axis) seven += integer(1);
  EXPECT_THAT(error(0, seven, seven), HasSubstr("7 axes, expected at most 6"));
}

TEST_F(TorchFileTest, BoundsElementsThatAreRepeated) {
  const auto repeated = [](int64_t count) {
    return tensor(storage("0", 4), 0, integer(count) + integer(4), integer(0) + integer(1));
  };
  const int64_t small = 1024 * 1024 / 16;
  EXPECT_EQ(error_of_tensor(repeated(small)), "");
  EXPECT_THAT(error_of_tensor(repeated(2 * small)), HasSubstr("expected tensors that share fewer elements"));
  EXPECT_THAT(error_of_tensor(repeated(int64_t{1} << 60)), HasSubstr("share fewer elements"));
  std::string many;
  for (int i = 0; i < 3; ++i) many += text(std::to_string(i)) + repeated(small / 2);
  EXPECT_THAT(error_of(zip_of_items(many)), HasSubstr("tensor '2'"));
}

TEST_F(TorchFileTest, RefusesWhatWouldRunCode) {
  const std::string system = program(test::call(global("os", "system"), text("touch /tmp/pwned")));
  const std::string message =
      "needs the Python class os.system, which is not a tensor: this reader executes nothing";
  EXPECT_THAT(error_of(test::zip_file(system, four_)), AllOf(HasSubstr(path_), HasSubstr(message)));
  EXPECT_THAT(error_of(test::legacy_file(system, four_)), AllOf(HasSubstr(path_), HasSubstr(message)));
  EXPECT_THAT(error_of_tensor(global("numpy.core.multiarray", "scalar")),
              HasSubstr("needs the Python class numpy.core.multiarray.scalar"));
}

TEST_F(TorchFileTest, RefusesWhatIsNoStateDict) {
  EXPECT_THAT(error_of(test::zip_file(program(test::vector("0", 4)), four_)),
              HasSubstr("holds an object, expected a state dict"));
  EXPECT_THAT(error_of(test::zip_file(program("]"), {})), HasSubstr("holds a list"));
  EXPECT_THAT(error_of(zip_of_items(text("epoch") + integer(3))),
              HasSubstr("there are no tensors in it; left out: 'epoch'"));
  EXPECT_THAT(error_of(zip_of_items(integer(1) + test::vector("0", 4))),
              HasSubstr("no tensors in it; left out: the integer 1"));
  EXPECT_THAT(error_of(zip_of_items(text("w") + test::vector("0", 4) + text("w") + test::vector("0", 4))),
              HasSubstr("tensor 'w' is there twice"));
}

TEST_F(TorchFileTest, RefusesTensorsThatAreMadeOfSomethingElse) {
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
  EXPECT_THAT(error_of_tensor(test::call(rebuild, integer(1))), HasSubstr("it is made of 1 arguments"));
  EXPECT_THAT(error_of_tensor(test::call(rebuild, integer(1) + integer(0) + "))")),
              HasSubstr("its storage is the integer 1"));
  EXPECT_THAT(error_of_tensor(test::call(rebuild, storage("0", 4) + "N))")), HasSubstr("its offset is None"));
  EXPECT_THAT(error_of_tensor(test::call(rebuild, storage("0", 4) + integer(0) + "])")),
              HasSubstr("its size is a list, expected a tuple"));
  EXPECT_THAT(error_of_tensor(tuple(text("storage")) + "Q"),
              HasSubstr("the id of a storage is a tuple of 1"));
  EXPECT_THAT(error_of_tensor("NQ"), HasSubstr("the id of a storage is None, expected a tuple"));
}

TEST_F(TorchFileTest, RefusesStoragesThatDiffer) {
  EXPECT_THAT(error_of_tensor(test::vector("0", 5)),
              HasSubstr("'a/data/0' has 16 bytes, expected those of 5 elements of torch.FloatStorage"));
  EXPECT_THAT(error_of_tensor(test::vector("0", int64_t{1} << 62)), HasSubstr("a storage has"));
  EXPECT_THAT(error_of_tensor(test::vector("1", 4)), HasSubstr("has no entry 'a/data/1'"));
  const std::string bytes = tensor(storage("0", 16, "", "ByteStorage"), 0, integer(16), integer(1));
  EXPECT_THAT(error_of(zip_of_items(text("a") + test::vector("0", 4) + text("b") + bytes)),
              HasSubstr("expected one type and size"));
}

TEST_F(TorchFileTest, RefusesDamagedStorages) {
  std::string file = zip_of_items(text("w") + test::vector("0", 4));
  file[file.find(floats_)] ^= 1;
  EXPECT_THAT(error_of(file), AllOf(HasSubstr("storage '0'"), HasSubstr("the file is damaged")));
}

TEST_F(TorchFileTest, RefusesOtherByteOrders) {
  const std::string pickle = program(test::dict(text("w") + test::vector("0", 4)));
  const auto with_order = [&](const std::string& order) {
    return test::zip_of({{"a/data.pkl", pickle}, {"a/byteorder", order}, {"a/data/0", floats_}});
  };
  EXPECT_EQ(error_of(with_order("little")), "");
  EXPECT_THAT(error_of(with_order("big")), HasSubstr("'a/byteorder' says 'big', expected 'little'"));
  EXPECT_THAT(error_of(test::legacy_head("\x89") + pickle), HasSubstr("big-endian machine"));
}

TEST_F(TorchFileTest, RefusesLegacyFilesWhoseListsDisagree) {
  const std::string pickle = program(test::dict(text("w") + test::vector("0", 4)));
  EXPECT_EQ(error_of(test::legacy_file(pickle, four_)), "");
  EXPECT_THAT(error_of(test::legacy_file(pickle, {})), HasSubstr("expected 1 keys"));
  EXPECT_THAT(error_of(test::legacy_file(pickle, {{"1", floats_}})), HasSubstr("no tensor has it"));
  EXPECT_THAT(error_of(test::legacy_file(pickle, {{"0", floats_ + floats_}})),
              HasSubstr("storage '0' has 8 elements, expected 4"));
  EXPECT_THAT(error_of(test::legacy_file(pickle, four_) + "x"), HasSubstr("1 bytes follow the last storage"));
}

TEST_F(TorchFileTest, RefusesOtherFiles) {
  EXPECT_THAT(error_of(""), HasSubstr("is no file of torch.save"));
  EXPECT_THAT(error_of("a text"), HasSubstr("is no file of torch.save"));
  EXPECT_THAT(error_of(test::zip_of({{"a/other", "x"}})), HasSubstr("without an entry '.../data.pkl'"));
  EXPECT_THROW(TorchFile(folder_ / "absent.pth"), Error);
}

// ---- Damage

/// While it lives, allocations beyond `bytes` more than now fail.
class MemoryLimit {
 public:
  explicit MemoryLimit(size_t bytes) {
    size_t pages = 0;
    size_t data_pages = 0;
    std::string skip;
    std::ifstream("/proc/self/statm") >> pages >> skip >> skip >> skip >> skip >> data_pages;
    ::getrlimit(RLIMIT_DATA, &old_);
    rlimit limit = old_;
    limit.rlim_cur = data_pages * 4096 + bytes;
    ::setrlimit(RLIMIT_DATA, &limit);
  }
  ~MemoryLimit() { ::setrlimit(RLIMIT_DATA, &old_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit old_ = {};
};

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kMostMemory = size_t{1} << 40;  // the sanitizer's own needs are not ours
#else
constexpr size_t kMostMemory = 16 * 1024 * 1024;  // the fixtures have less than 8 kB
#endif

std::string damaged(std::string bytes, Generator& generator) {
  const auto any = [&](size_t size) { return generator.below(static_cast<uint32_t>(size)); };
  for (uint32_t count = any(4) + 1; count > 0 && bytes.size() > 8; --count) {
    const size_t at = any(bytes.size() - 8);
    switch (any(5)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << any(8))); break;
      case 1: bytes[at] = static_cast<char>(any(256)); break;
      case 2: std::memset(&bytes[at], any(2) == 0 ? 0xff : 0x7f, any(9)); break;  // huge numbers
      case 3: bytes.erase(at, any(8)); break;
      default: bytes.insert(at, bytes.substr(any(bytes.size()), any(32))); break;
    }
  }
  return bytes;
}

/// A file as it is, or a zip archive around a damaged pickle with the right checksum.
std::string damaged_file(const std::string& name, Generator& generator) {
  const std::string file = contents(pth(name));
  if (file.substr(0, 2) != "PK" || generator.below(4) == 0) return damaged(file, generator);
  const size_t begin = file.find("\x80");
  const std::string pickle = file.substr(begin, file.find("PK", begin) - begin);
  Storages storages;
  for (int key = 0; key < 24; ++key) storages.emplace_back(std::to_string(key), std::string(20, '\1'));
  return test::zip_file(damaged(pickle, generator), storages);
}

TEST_F(TorchFileTest, SurvivesDamage) {
  Generator generator(1);
  int64_t refused = 0;
  const int64_t trials = test::trials(10'000);
  const MemoryLimit limit(kMostMemory);
  for (int64_t trial = 0; trial < trials; ++trial) {
    const char* name = kFixtures[generator.below(std::size(kFixtures))];
    if (!error_of(damaged_file(name, generator)).empty()) ++refused;  // anything but an Error ends the test
  }
  EXPECT_GT(refused, trials / 2);
  EXPECT_LT(refused, trials - trials / 100);  // damage of values does not show in old files
}

}  // namespace
}  // namespace ds
