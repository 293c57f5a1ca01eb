// Python's pickle, protocols 2 to 5 (pickletools.py describes them), read without executing anything.
//
// A pickle is a program for a stack machine. Two of its instructions would run code: one names a global, a
// class or a function, and one calls it. Here a global is refused unless it is in a list that the caller
// gives, and a call is kept as what it is: a name and arguments, for the caller to interpret or not.
//
// Values refer to each other by number, so that nothing recurses, however deep and cyclic the file is. Each
// byte of the pickle makes at most one value and one node: less than 200 bytes of memory. Texts stay in the
// file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/torch_file/byte_reader.h"

namespace ds::torch_file {

struct None {};
/// An integer of more than 8 bytes: little-endian, two's complement.
struct BigInteger {
  std::string_view bytes;
};
/// "module.name" of the caller's list.
struct Global {
  std::string_view name;
};
/// The number of a node.
struct NodeId {
  size_t index = 0;
};

/// Text is str or bytes; Python 2 did not tell them apart. monostate is no value of Python: it marks what is
/// not there.
using Value =
    std::variant<std::monostate, None, bool, int64_t, double, std::string_view, BigInteger, Global, NodeId>;

enum class NodeKind : uint8_t {
  kTuple,
  kList,
  kDict,        // key, value, key, value, ...; an OrderedDict, too
  kPairs,       // the one item is a list of (key, value): an OrderedDict that Python 2 wrote
  kCall,        // the global, its arguments, and the states that BUILD sets
  kPersistent,  // the one item is the id of what lies outside of the pickle: a storage
};

struct Node {
  NodeKind kind = NodeKind::kTuple;
  std::vector<Value> items = {};
};

inline constexpr std::string_view kOrderedDict = "collections.OrderedDict";

class Pickle {
 public:
  /// Runs the pickle at the reader's position, and leaves the reader behind it. kOrderedDict is always known.
  /// Throws Error that names the byte; of a global that is not in the list, the global.
  Pickle(ByteReader& reader, std::span<const std::string_view> globals);

  const Value& root() const { return root_; }
  const Node& node(NodeId id) const { return nodes_[id.index]; }
  /// The node that a value is, when it is of that kind; or else null.
  const Node* node(const Value& value, NodeKind kind) const;
  const std::vector<Node>& nodes() const { return nodes_; }
  /// What a value is, for errors: "a list", "the integer 3".
  std::string describe(const Value& value) const;

 private:
  std::vector<Node> nodes_;
  Value root_;
};

}  // namespace ds::torch_file
