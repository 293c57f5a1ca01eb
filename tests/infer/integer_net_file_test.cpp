#include "infer/integer_net_file.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "infer/cpu/cpu_net.h"
#include "infer/reference.h"
#include "tests/infer/networks.h"
#include "tests/infer/random_nets.h"
#include "tests/layers/support.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trials.h"

namespace ds::infer {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

class IntegerNetFile : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  static std::vector<char> read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write_bytes(const std::string& path, const std::vector<char>& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  test::TemporaryFolder folder_;
};

TEST_F(IntegerNetFile, GivesTheSameNetAndTheSameBytes) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    test::RandomNet random(seed);
    const IntegerNet net = random.net();
    save_integer_net(path("a"), net, {{"note", "kept"}});
    const SafetensorsFile file(path("a"));
    ASSERT_TRUE(holds_integer_net(file));
    EXPECT_EQ(file.metadata().at("note"), "kept");
    const IntegerNet loaded = load_integer_net(file);
    ASSERT_EQ(loaded.str(), net.str());
    const Tensor images = random.images(1);
    ASSERT_EQ(run_reference(loaded, images).to_vector<int32_t>(),
              run_reference(net, images).to_vector<int32_t>());
    save_integer_net(path("b"), loaded, {{"note", "kept"}});
    ASSERT_EQ(read_bytes(path("a")), read_bytes(path("b")));
  }
}

/// Files that were written once for a version of the format: they must load, and give what they gave.
TEST_F(IntegerNetFile, OfEveryVersionGivesTheSameIntegers) {
  for (const int version : {1, 2}) {
    SCOPED_TRACE(version);
    const std::string stem = test::fixture(fmt::format("integer_net_v{}", version));
    const IntegerNet net = load_integer_net(stem + ".safetensors");
    const SafetensorsFile expected(stem + "_expected.safetensors");
    const Tensor images = expected.read("images");
    EXPECT_EQ(run_reference(net, images).to_vector<int32_t>(), expected.read("results").to_vector<int32_t>());
    EXPECT_EQ(CpuNet(net)(images).to_vector<int32_t>(), expected.read("results").to_vector<int32_t>());
    save_integer_net(path("again"), net);  // older readers take what they can
    EXPECT_EQ(read_bytes(path("again")), read_bytes(stem + ".safetensors"));
  }
}

TEST_F(IntegerNetFile, RefusesOtherNumbersOfTerms) {
  save_integer_net(path("net"), test::net_of_large_terms(0));
  const SafetensorsFile file(path("net"));
  std::vector<NamedTensor> tensors;
  for (const std::string& name : file.names()) tensors.push_back({name, file.read(name)});
  Metadata metadata = file.metadata();
  std::string& json = metadata.at("deepshift.integer_net");
  const std::string terms = "\"terms\":2";
  ASSERT_NE(json.find(terms), std::string::npos);
  const auto error_with = [&](const std::string& other) {
    Metadata changed = metadata;
    std::string& text = changed.at("deepshift.integer_net");
    text.replace(text.find(terms), terms.size(), other);
    write_safetensors(path("changed"), tensors, changed);
    return error_of([&] { load_integer_net(path("changed")); });
  };
  EXPECT_THAT(error_with("\"terms\":3"), HasSubstr("weights of 3 terms, expected 1 or 2"));
  EXPECT_THAT(error_with("\"terms\":\"2\""), HasSubstr("expected an integer"));
  EXPECT_THAT(error_with("\"terms\":1"), HasSubstr("codes of 5 bits"));
}

TEST_F(IntegerNetFile, NamesTheNodeOfACodeThatThereIsNot) {
  save_integer_net(path("net"), test::lowered({"mnist_fc", ShiftMethod::kPs, 4, 8, 3, 0.0}));
  const SafetensorsFile file(path("net"));
  const IntegerNet net = load_integer_net(file);
  const size_t last = net.nodes().size() - 1;
  std::vector<NamedTensor> tensors;
  for (const std::string& name : file.names()) {
    Tensor tensor = file.read(name);
    if (name == fmt::format("node{}.codes", last)) {
      std::vector<uint8_t> codes = tensor.to_vector<uint8_t>();
      codes.front() = 0x88;  // two negative zeros
      tensor = Tensor::from(codes, tensor.shape());
    }
    tensors.push_back({name, tensor});
  }
  write_safetensors(path("changed"), tensors, file.metadata());
  EXPECT_THAT(error_of([&] { load_integer_net(path("changed")); }),
              AllOf(HasSubstr(path("changed")), HasSubstr(fmt::format("node {} (linear", last)),
                    HasSubstr(net.nodes()[last].place), HasSubstr("code 0x08 is not one of ps, 4 bits")));
}

TEST_F(IntegerNetFile, IsToldFromOtherFiles) {
  write_safetensors(path("other"), {{"w", Tensor::zeros({2})}});
  EXPECT_FALSE(holds_integer_net(SafetensorsFile(path("other"))));
  EXPECT_THAT(error_of([&] { load_integer_net(path("other")); }),
              AllOf(HasSubstr("no integer net"), HasSubstr("other")));
}

TEST_F(IntegerNetFile, NamesWhatIsWrong) {
  const auto load = [&](const std::string& json) {
    write_safetensors(path("broken"), {{"w", Tensor::zeros({2})}}, {{"deepshift.integer_net", json}});
    return error_of([&] { load_integer_net(path("broken")); });
  };
  EXPECT_THAT(load("{"), AllOf(HasSubstr("broken"), HasSubstr("metadata")));
  EXPECT_THAT(load(R"({"version": 2, "nodes": []})"), HasSubstr("no nodes"));
  EXPECT_THAT(load(R"({"version": 3, "nodes": []})"), HasSubstr("version 3, expected 1 to 2"));
  EXPECT_THAT(load(R"({"version": 1, "nodes": []})"), HasSubstr("no nodes"));
  EXPECT_THAT(load(R"({"version": 1, "nodes": [{"kind": "cube"}]})"),
              AllOf(HasSubstr("node 0"), HasSubstr("\"cube\"")));
  EXPECT_THAT(load(std::string(300000, '[') + std::string(300000, ']')),
              HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(load(R"({"version": 1.5, "nodes": []})"), HasSubstr("found 1.5, expected an integer"));
  EXPECT_THAT(load(R"({"version": 1, "nodes": [{"kind": "input", "place": "", "inputs": [4294967296]}]})"),
              HasSubstr("found 4294967296, expected an integer"));
}

/// Any byte of a small file changed, or the end cut off: refused with a reason, or a net that can be run.
TEST_F(IntegerNetFile, SurvivesMutations) {
  Generator generator(11);
  int refused = 0;
  int loaded = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    test::RandomNet random(seed);
    save_integer_net(path("net"), random.net());
    const std::vector<char> original = read_bytes(path("net"));
    const Tensor images = random.images(1);
    for (int64_t mutation = 0; mutation < test::trials(100); ++mutation) {
      std::vector<char> bytes = original;
      for (uint32_t changes = 1 + generator.below(3); changes > 0; --changes) {
        bytes[generator.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(generator.below(256));
      }
      if (mutation % 10 == 0) bytes.resize(generator.below(static_cast<uint32_t>(bytes.size())));
      write_bytes(path("mutated"), bytes);
      try {
        const IntegerNet net = load_integer_net(path("mutated"));
        if (net.input() == Shape(images.shape().sizes().subspan(1))) {
          ASSERT_EQ(CpuNet(net)(images).to_vector<int32_t>(), run_reference(net, images).to_vector<int32_t>())
              << "seed " << seed << ", mutation " << mutation;
        }
        ++loaded;
      } catch (const Error& error) {
        EXPECT_STRNE(error.what(), "");
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(loaded, 100);
}

}  // namespace
}  // namespace ds::infer
