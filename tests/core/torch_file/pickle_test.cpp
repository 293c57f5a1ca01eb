#include "core/torch_file/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/core/torch_file/pieces.h"

namespace ds::torch_file {
namespace {

using test::global;
using test::integer;
using test::little_endian;
using test::program;
using test::text;
using test::tuple;
using ::testing::HasSubstr;

constexpr std::string_view kKnown[] = {"package.make"};

/// A pickle and the bytes that it looks into.
struct Loaded {
  explicit Loaded(std::string source)
      : bytes(std::move(source)), reader(bytes, "the pickle"), pickle(reader, kKnown) {}
  std::string bytes;
  ByteReader reader;
  Pickle pickle;
};

std::string error_of(const std::string& bytes) {
  try {
    const Loaded loaded(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

template <class T>
T root(const std::string& body) {
  return std::get<T>(Loaded(program(body)).pickle.root());
}

TEST(Pickle, ReadsNumbers) {
  EXPECT_EQ(root<int64_t>("K\xff"), 255);
  EXPECT_EQ(root<int64_t>("M" + little_endian(uint16_t{65535})), 65535);
  EXPECT_EQ(root<int64_t>("J" + little_endian(int32_t{-2})), -2);
  EXPECT_EQ(root<int64_t>(std::string("\x8a\0", 2)), 0);
  EXPECT_EQ(root<int64_t>("\x8a\x01\xff"), -1);
  EXPECT_EQ(root<int64_t>(std::string("\x8a\x02\xff\0", 4)), 255);
  EXPECT_EQ(root<int64_t>("\x8b" + little_endian(uint32_t{3}) + "\x01\x02\x83"), -0x7cfdff);
  EXPECT_EQ(root<int64_t>(integer(INT64_MIN)), INT64_MIN);
  EXPECT_EQ(root<double>(std::string("G\xbf\xf8\0\0\0\0\0\0", 9)), -1.5);
  EXPECT_TRUE(root<bool>("\x88"));
  EXPECT_FALSE(root<bool>("\x89"));
  EXPECT_NO_THROW(root<None>("N"));
  const Loaded big(program("\x8a\x09" + std::string(9, '\7')));
  EXPECT_EQ(std::get<BigInteger>(big.pickle.root()).bytes, std::string(9, '\7'));
}

TEST(Pickle, ReadsTexts) {
  for (const std::string& head :
       {std::string("U\x03"), std::string("C\x03"), std::string("\x8c\x03"), "X" + little_endian(uint32_t{3}),
        "T" + little_endian(uint32_t{3}), "B" + little_endian(uint32_t{3}),
        "\x8d" + little_endian(uint64_t{3}), "\x8e" + little_endian(uint64_t{3})}) {
    const Loaded loaded(program(head + "abc"));
    EXPECT_EQ(std::get<std::string_view>(loaded.pickle.root()), "abc") << head;
  }
}

TEST(Pickle, ReadsCollections) {
  const Loaded loaded(program("](K\x01" + tuple("NN") + "eK\x02" + "a"));
  const Node* list = loaded.pickle.node(loaded.pickle.root(), NodeKind::kList);
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->items.size(), 3U);
  EXPECT_EQ(std::get<int64_t>(list->items[0]), 1);
  EXPECT_EQ(std::get<int64_t>(list->items[2]), 2);
  const Node* inner = loaded.pickle.node(list->items[1], NodeKind::kTuple);
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->items.size(), 2U);

  const Loaded dict(program("}(K\x01K\x02uK\x03K\x04s"));
  const Node* items = dict.pickle.node(dict.pickle.root(), NodeKind::kDict);
  ASSERT_NE(items, nullptr);
  EXPECT_EQ(items->items.size(), 4U);
  for (const auto& [opcode, size] : {std::pair{"\x85", 1U}, {"\x86", 2U}, {"\x87", 3U}}) {
    const Loaded small(program(std::string("NNN") + opcode));
    EXPECT_EQ(small.pickle.node(small.pickle.root(), NodeKind::kTuple)->items.size(), size);
  }
}

TEST(Pickle, ReadsWhatRefersToItself) {
  const Loaded loaded(program(std::string("]q\0h\0a", 6)));
  const Node* list = loaded.pickle.node(loaded.pickle.root(), NodeKind::kList);
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(loaded.pickle.node(list->items.at(0), NodeKind::kList), list);
}

TEST(Pickle, ReadsAMillionNestedLists) {
  constexpr size_t kDepth = 1'000'000;
  const Loaded loaded(program(std::string(kDepth, ']') + std::string(kDepth - 1, 'a')));
  EXPECT_EQ(loaded.pickle.nodes().size(), kDepth);
}

TEST(Pickle, KeepsCallsAsTheyAre) {
  for (const std::string& callee : {global("package", "make"), text("package") + text("make") + "\x93"}) {
    const Loaded loaded(program(callee + tuple("K\x05") + "R" + "Nb"));
    const Node* call = loaded.pickle.node(loaded.pickle.root(), NodeKind::kCall);
    ASSERT_NE(call, nullptr);
    ASSERT_EQ(call->items.size(), 3U);
    EXPECT_EQ(std::get<Global>(call->items[0]).name, "package.make");
    EXPECT_TRUE(std::holds_alternative<None>(call->items[2]));
  }
}

TEST(Pickle, RefusesOtherGlobals) {
  EXPECT_THAT(error_of(program(global("os", "system"))),
              HasSubstr("needs the Python class os.system, which is not a tensor"));
  EXPECT_THAT(error_of(program(text("builtins") + text("eval") + "\x93")), HasSubstr("builtins.eval"));
  EXPECT_THAT(error_of(program(global("package", "make.other"))), HasSubstr("package.make.other"));
  EXPECT_THAT(error_of(program("K\x01K\x02\x93")), HasSubstr("the name of a global is no text"));
}

TEST(Pickle, RefusesOtherInstructions) {
  for (const char opcode : {'i', 'o', 'P', 'I', 'S', '0', '2', '\x82', '\x96', '\x97', '\x98', '\xff'}) {
    EXPECT_THAT(error_of(program(std::string("NN)") + opcode)),
                HasSubstr(fmt::format("opcode {:#04x} at byte 5", static_cast<uint8_t>(opcode))));
  }
  EXPECT_THAT(error_of("\x80\x06N."), HasSubstr("protocol 6, expected at most 5"));
}

TEST(Pickle, RefusesStacksThatAreTooShort) {
  for (const char* body : {"",      "a", "Na", "]Nae", "t", "e",  "u",     "(u",     "Ns",  "NNs",  "\x86",
                           "N\x86", "b", "Nb", "Q",    "R", "NR", "q\x01", "N(\x85", "N(a", "\x93", "\x94"}) {
    EXPECT_NE(error_of(program(body)), "") << body;
  }
  EXPECT_THAT(error_of(program("N(\x85")), HasSubstr("1 values are needed, and the stack has 0"));
  EXPECT_THAT(error_of(program("]t")), HasSubstr("the stack has no mark"));
}

TEST(Pickle, RefusesWhatDoesNotGoTogether) {
  EXPECT_THAT(error_of(program("}Na")), HasSubstr("items of a list are added to something else"));
  EXPECT_THAT(error_of(program("]NNs")), HasSubstr("items of a dict are added to something else"));
  EXPECT_THAT(error_of(program("NNa")), HasSubstr("nothing can be added"));
  EXPECT_THAT(error_of(program("}(NNNu")), HasSubstr("a key of a dict has no value"));
  EXPECT_THAT(error_of(program("N)R")), HasSubstr("a call is not of a global"));
  EXPECT_THAT(error_of(program(global("package", "make") + "]R")), HasSubstr("a call is not of a global"));
}

TEST(Pickle, BoundsTheMemo) {
  EXPECT_EQ(error_of(program(std::string("Nq\1h\1", 5))), "");  // Python 2 counts from 1
  EXPECT_THAT(error_of(program("Nr" + little_endian(uint32_t{0xffffffff}))),
              HasSubstr("value 4294967295 of the memo is set, in a pickle that is too short"));
  EXPECT_THAT(error_of(program("h\x01")), HasSubstr("value 1 of the memo is read, and not set"));
  EXPECT_THAT(error_of(program(std::string("Nq\5h\4", 5))), HasSubstr("value 4 of the memo is read"));
  EXPECT_THAT(error_of(program("j" + little_endian(uint32_t{0xffffffff}))), HasSubstr("of the memo is read"));
}

TEST(Pickle, RefusesCountsBeyondTheFile) {
  EXPECT_THAT(error_of(program("X" + little_endian(uint32_t{0xffffffff}))),
              HasSubstr("4294967295 bytes are expected at byte 7, and 1 are left"));
  for (const char* head : {"\x8d", "\x8e"}) {
    EXPECT_THAT(error_of(program(head + little_endian(~uint64_t{0}))),
                HasSubstr("18446744073709551615 bytes are expected"));
  }
  EXPECT_NE(error_of(program("\x8b" + little_endian(uint32_t{0xffffffff}))), "");
  EXPECT_THAT(error_of("\x80\x02"
                       "cos"),
              HasSubstr("a line begins at byte 3 and does not end"));
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("N"), "");
}

}  // namespace
}  // namespace ds::torch_file
