#include "core/torch_file/pickle.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace ds::torch_file {
namespace {

/// The instructions that torch.save needs, under the names of pickletools.py.
enum class Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinBytes8 = 0x8e,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kNewObj = 0x81,
  kBuild = 'b',
  kBinPersId = 'Q',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kProto = 0x80,
  kFrame = 0x95,
};

constexpr int kNewestProtocol = 5;
constexpr size_t kMostShown = 60;  // bytes of a text in a message

/// Of more than 8 bytes only the bytes.
Value integer_of(std::string_view bytes) {
  if (bytes.size() > sizeof(int64_t)) return BigInteger{bytes};
  const bool negative = !bytes.empty() && (static_cast<uint8_t>(bytes.back()) & 0x80U) != 0;
  int64_t value = negative ? -1 : 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

class Machine {
 public:
  Machine(ByteReader& reader, std::span<const std::string_view> globals, std::vector<Node>& nodes)
      : reader_(reader), globals_(globals), nodes_(nodes) {}

  Value run() {
    while (true) {
      const auto opcode = static_cast<Opcode>(reader_.number<uint8_t>());
      if (opcode == Opcode::kStop) return pop();
      if (!constant(opcode) && !text(opcode) && !collection(opcode) && !object(opcode) && !memo(opcode)) {
        fail("{}: opcode {:#04x} at byte {} is none that torch.save writes", reader_.where(),
             static_cast<uint8_t>(opcode), reader_.position() - 1);
      }
    }
  }

 private:
  template <class... Args>
  void check(bool condition, fmt::format_string<Args...> format, Args&&... args) const {
    if (condition) return;
    fail("{}: before byte {}: {}", reader_.where(), reader_.position(),
         fmt::format(format, std::forward<Args>(args)...));
  }

  // ---- The stack

  void push(Value value) { stack_.push_back(value); }
  void push_node(NodeKind kind, std::vector<Value> items = {}) {
    nodes_.push_back({kind, std::move(items)});
    push(NodeId{nodes_.size() - 1});
  }
  /// Values in front of the last mark are out of reach.
  void need(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    check(stack_.size() - floor >= count, "{} values are needed, and the stack has {}", count,
          stack_.size() - floor);
  }
  Value pop() {
    need(1);
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<Value> pop(size_t count) {
    need(count);
    std::vector<Value> values(stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  std::vector<Value> pop_to_mark() {
    check(!marks_.empty(), "the stack has no mark");
    std::vector<Value> values = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return values;
  }
  std::string_view pop_text() {
    const Value value = pop();
    const auto* text = std::get_if<std::string_view>(&value);
    check(text != nullptr, "the name of a global is no text");
    return *text;
  }
  /// The node on top of the stack, which stays there.
  Node& top_node() {
    need(1);
    const auto* id = std::get_if<NodeId>(&stack_.back());
    check(id != nullptr, "nothing can be added to what is on the stack");
    return nodes_[id->index];
  }
  void add_to(NodeKind kind, const std::vector<Value>& values) {
    Node& node = top_node();
    check(node.kind == kind, "{} are added to something else",
          kind == NodeKind::kList ? "items of a list" : "items of a dict");
    check(kind == NodeKind::kList || values.size() % 2 == 0, "a key of a dict has no value");
    node.items.insert(node.items.end(), values.begin(), values.end());
  }

  // ---- Families of instructions: false for what is not of the family

  bool constant(Opcode opcode) {
    switch (opcode) {
      case Opcode::kNone: push(None{}); return true;
      case Opcode::kNewTrue: push(true); return true;
      case Opcode::kNewFalse: push(false); return true;
      case Opcode::kBinInt: push(int64_t{reader_.number<int32_t>()}); return true;
      case Opcode::kBinInt1: push(int64_t{reader_.number<uint8_t>()}); return true;
      case Opcode::kBinInt2: push(int64_t{reader_.number<uint16_t>()}); return true;
      case Opcode::kLong1: push(integer_of(reader_.take(reader_.number<uint8_t>()))); return true;
      case Opcode::kLong4: push(integer_of(reader_.take(reader_.number<uint32_t>()))); return true;
      case Opcode::kBinFloat:  // the one big-endian number
        push(std::bit_cast<double>(__builtin_bswap64(reader_.number<uint64_t>())));
        return true;
      default: return false;
    }
  }

  bool text(Opcode opcode) {
    switch (opcode) {
      case Opcode::kShortBinString:
      case Opcode::kShortBinUnicode:
      case Opcode::kShortBinBytes: push(reader_.take(reader_.number<uint8_t>())); return true;
      case Opcode::kBinString:
      case Opcode::kBinUnicode:
      case Opcode::kBinBytes: push(reader_.take(reader_.number<uint32_t>())); return true;
      case Opcode::kBinUnicode8:
      case Opcode::kBinBytes8: push(reader_.take(reader_.number<uint64_t>())); return true;
      default: return false;
    }
  }

  bool collection(Opcode opcode) {
    switch (opcode) {
      case Opcode::kMark: marks_.push_back(stack_.size()); return true;
      case Opcode::kEmptyTuple: push_node(NodeKind::kTuple); return true;
      case Opcode::kTuple1: push_node(NodeKind::kTuple, pop(1)); return true;
      case Opcode::kTuple2: push_node(NodeKind::kTuple, pop(2)); return true;
      case Opcode::kTuple3: push_node(NodeKind::kTuple, pop(3)); return true;
      case Opcode::kTuple: push_node(NodeKind::kTuple, pop_to_mark()); return true;
      case Opcode::kEmptyList: push_node(NodeKind::kList); return true;
      case Opcode::kAppend: add_to(NodeKind::kList, pop(1)); return true;
      case Opcode::kAppends: add_to(NodeKind::kList, pop_to_mark()); return true;
      case Opcode::kEmptyDict: push_node(NodeKind::kDict); return true;
      case Opcode::kSetItem: add_to(NodeKind::kDict, pop(2)); return true;
      case Opcode::kSetItems: add_to(NodeKind::kDict, pop_to_mark()); return true;
      default: return false;
    }
  }

  bool object(Opcode opcode) {
    switch (opcode) {
      case Opcode::kGlobal: {
        const std::string_view module = reader_.line();
        push_global(module, reader_.line());
        return true;
      }
      case Opcode::kStackGlobal: {
        const std::string_view name = pop_text();
        push_global(pop_text(), name);
        return true;
      }
      case Opcode::kReduce:
      case Opcode::kNewObj: call(); return true;
      case Opcode::kBuild: build(); return true;
      case Opcode::kBinPersId: push_node(NodeKind::kPersistent, pop(1)); return true;
      default: return false;
    }
  }

  bool memo(Opcode opcode) {
    switch (opcode) {
      case Opcode::kBinPut: put(reader_.number<uint8_t>()); return true;
      case Opcode::kLongBinPut: put(reader_.number<uint32_t>()); return true;
      case Opcode::kMemoize: put(memoized_); return true;
      case Opcode::kBinGet: get(reader_.number<uint8_t>()); return true;
      case Opcode::kLongBinGet: get(reader_.number<uint32_t>()); return true;
      case Opcode::kProto: {
        const int protocol = reader_.number<uint8_t>();
        check(protocol <= kNewestProtocol, "protocol {}, expected at most {}", protocol, kNewestProtocol);
        return true;
      }
      case Opcode::kFrame: reader_.number<uint64_t>(); return true;  // how much to read ahead
      default: return false;
    }
  }

  // ---- Globals, calls and the memo

  void push_global(std::string_view module, std::string_view name) {
    const std::string full = fmt::format("{}.{}", module, name);
    if (full == kOrderedDict) return push(Global{kOrderedDict});
    const auto known = std::ranges::find(globals_, full);
    check(known != globals_.end(),
          "needs the Python class {}, which is not a tensor: this reader executes nothing; save the tensors "
          "alone, by torch.save(model.state_dict(), ...), or of a checkpoint the state dict in it",
          full);
    push(Global{*known});
  }

  void call() {
    const std::vector<Value> callee_and_arguments = pop(2);
    const auto* callee = std::get_if<Global>(&callee_and_arguments[0]);
    const auto* id = std::get_if<NodeId>(&callee_and_arguments[1]);
    check(callee != nullptr && id != nullptr && nodes_[id->index].kind == NodeKind::kTuple,
          "a call is not of a global with a tuple of arguments");
    if (callee->name != kOrderedDict) return push_node(NodeKind::kCall, callee_and_arguments);
    const std::vector<Value> arguments = nodes_[id->index].items;
    check(arguments.size() <= 1, "an OrderedDict is made of {} arguments", arguments.size());
    push_node(arguments.empty() ? NodeKind::kDict : NodeKind::kPairs, arguments);
  }

  /// The attributes of a dict (_metadata of a state dict) say nothing of its tensors.
  void build() {
    const Value state = pop();
    Node& node = top_node();
    if (node.kind == NodeKind::kCall) node.items.push_back(state);
  }

  /// Picklers count, so no index is beyond what the bytes so far could have put.
  void put(size_t index) {
    check(index <= reader_.position(),
          "value {} of the memo is set, in a pickle that is too short for so many", index);
    need(1);
    if (index >= memo_.size()) memo_.resize(index + 1);
    if (memo_[index].index() == 0) ++memoized_;
    memo_[index] = stack_.back();
  }

  void get(size_t index) {
    check(index < memo_.size() && memo_[index].index() != 0, "value {} of the memo is read, and not set",
          index);
    push(memo_[index]);
  }

  ByteReader& reader_;
  std::span<const std::string_view> globals_;
  std::vector<Node>& nodes_;
  std::vector<Value> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::vector<Value> memo_;
  size_t memoized_ = 0;
};

}  // namespace

Pickle::Pickle(ByteReader& reader, std::span<const std::string_view> globals)
    : root_(Machine(reader, globals, nodes_).run()) {}

const Node* Pickle::node(const Value& value, NodeKind kind) const {
  const auto* id = std::get_if<NodeId>(&value);
  return id != nullptr && node(*id).kind == kind ? &node(*id) : nullptr;
}

std::string Pickle::describe(const Value& value) const {
  struct Describer {
    const Pickle& pickle;
    std::string operator()(std::monostate) const { return "nothing"; }
    std::string operator()(None) const { return "None"; }
    std::string operator()(bool) const { return "a bool"; }
    std::string operator()(int64_t number) const { return fmt::format("the integer {}", number); }
    std::string operator()(double number) const { return fmt::format("the number {}", number); }
    std::string operator()(std::string_view text) const {
      return text.size() <= kMostShown ? fmt::format("'{}'", text)
                                       : fmt::format("'{}...'", text.substr(0, kMostShown));
    }
    std::string operator()(const BigInteger& number) const {
      return fmt::format("an integer of {} bytes", number.bytes.size());
    }
    std::string operator()(const Global& global) const { return fmt::format("the class {}", global.name); }
    std::string operator()(NodeId id) const {
      switch (pickle.node(id).kind) {
        case NodeKind::kTuple: return "a tuple";
        case NodeKind::kList: return "a list";
        case NodeKind::kDict:
        case NodeKind::kPairs: return "a dict";
        case NodeKind::kCall: return "an object";
        case NodeKind::kPersistent: return "a storage";
      }
      return "?";
    }
  };
  return std::visit(Describer{*this}, value);
}

}  // namespace ds::torch_file
