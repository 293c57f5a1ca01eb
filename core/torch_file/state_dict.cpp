#include "core/torch_file/state_dict.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"

namespace ds::torch_file {
namespace {

constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor";
constexpr std::string_view kRebuildTensorV2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kParameter = "torch.nn.parameter.Parameter";  // before PyTorch 0.4

constexpr StorageType kStorageTypes[] = {
    {"torch.FloatStorage", 4, DType::kF32}, {"torch.DoubleStorage", 8, DType::kF64},
    {"torch.HalfStorage", 2, DType::kF32},  {"torch.BFloat16Storage", 2, DType::kBf16},
    {"torch.LongStorage", 8, DType::kI64},  {"torch.IntStorage", 4, DType::kI32},
    {"torch.ShortStorage", 2, DType::kI16}, {"torch.CharStorage", 1, DType::kI8},
    {"torch.ByteStorage", 1, DType::kU8},   {"torch.BoolStorage", 1, DType::kU8},
};

constexpr std::string_view kCheckpointKeys[] = {"state_dict", "model", "model_state_dict", "net"};
constexpr std::string_view kDataParallelPrefix = "module.";
constexpr size_t kMostNamed = 8;  // of what was left out

struct Item {
  Value key;
  Value value;
};

class StateDictReader {
 public:
  explicit StateDictReader(const Pickle& pickle) : pickle_(pickle) {}

  StateDict read() {
    read_entries(find_state_dict());
    strip_prefix();
    return std::move(result_);
  }

  StorageId storage_id(const Node& persistent) const {
    const Value& id = persistent.items.front();
    const std::vector<Value>& parts = tuple(id, "the id of a storage");
    DS_CHECK((parts.size() == 5 || parts.size() == 6) && text(parts[0], "the kind of an id") == "storage",
             "the id of a storage is a tuple of {}, expected 'storage', class, key, place, size",
             parts.size());
    const auto* global = std::get_if<Global>(&parts[1]);
    const auto* type = std::ranges::find_if(
        kStorageTypes, [&](const StorageType& one) { return global != nullptr && one.name == global->name; });
    DS_CHECK(type != std::ranges::end(kStorageTypes), "a storage is {}, expected a class of storages",
             pickle_.describe(parts[1]));
    return {.type = type,
            .key = text(parts[2], "the key of a storage"),
            .elements = count(parts[4], "the size of a storage")};
  }

 private:
  // ---- Values that must be of one kind

  std::string_view text(const Value& value, const char* what) const {
    const auto* found = std::get_if<std::string_view>(&value);
    DS_CHECK(found != nullptr, "{} is {}, expected a text", what, pickle_.describe(value));
    return *found;
  }
  int64_t count(const Value& value, const char* what) const {
    const auto* found = std::get_if<int64_t>(&value);
    DS_CHECK(found != nullptr && *found >= 0, "{} is {}, expected an integer from 0", what,
             pickle_.describe(value));
    return *found;
  }
  const std::vector<Value>& tuple(const Value& value, const char* what) const {
    const Node* found = pickle_.node(value, NodeKind::kTuple);
    DS_CHECK(found != nullptr, "{} is {}, expected a tuple", what, pickle_.describe(value));
    return found->items;
  }
  std::vector<int64_t> counts(const Value& value, const char* what) const {
    std::vector<int64_t> result;
    for (const Value& size : tuple(value, what)) result.push_back(count(size, what));
    return result;
  }

  // ---- Dicts

  bool is_dict(const Value& value) const {
    return pickle_.node(value, NodeKind::kDict) != nullptr ||
           pickle_.node(value, NodeKind::kPairs) != nullptr;
  }

  std::vector<Item> items(const Value& dict) const {
    std::vector<Item> result;
    if (const Node* plain = pickle_.node(dict, NodeKind::kDict)) {
      for (size_t i = 0; i < plain->items.size(); i += 2) {
        result.push_back({plain->items[i], plain->items[i + 1]});
      }
    } else if (const Node* pairs = pickle_.node(dict, NodeKind::kPairs)) {
      const Node* list = pickle_.node(pairs->items.front(), NodeKind::kList);
      DS_CHECK(list != nullptr, "an OrderedDict is made of {}, expected a list",
               pickle_.describe(pairs->items.front()));
      for (const Value& value : list->items) result.push_back(pair(value));
    }
    return result;
  }

  /// Python 2 writes a list of two, its tools a tuple.
  Item pair(const Value& value) const {
    const Node* node = pickle_.node(value, NodeKind::kList);
    if (node == nullptr) node = pickle_.node(value, NodeKind::kTuple);
    DS_CHECK(node != nullptr && node->items.size() == 2,
             "an OrderedDict has {} as an item, expected a key and a value", pickle_.describe(value));
    return {node->items[0], node->items[1]};
  }

  Value find_state_dict() {
    const Value& root = pickle_.root();
    DS_CHECK(is_dict(root), "holds {}, expected a state dict: model.state_dict(), or a dict with it",
             pickle_.describe(root));
    const std::vector<Item> entries = items(root);
    for (const std::string_view key : kCheckpointKeys) {
      for (const Item& entry : entries) {
        const auto* name = std::get_if<std::string_view>(&entry.key);
        if (name == nullptr || *name != key || !is_dict(entry.value)) continue;
        std::vector<Value> others;
        for (const Item& other : entries) {
          const auto* other_name = std::get_if<std::string_view>(&other.key);
          if (other_name == nullptr || *other_name != key) others.push_back(other.key);
        }
        result_.notes.push_back(fmt::format("took what is under '{}'", key) + left_out(others));
        return entry.value;
      }
    }
    return root;
  }

  std::string left_out(const std::vector<Value>& keys) const {
    if (keys.empty()) return "";
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(keys.size(), kMostNamed); ++i) names.push_back(pickle_.describe(keys[i]));
    const size_t more = keys.size() - names.size();
    return fmt::format("; left out: {}{}", fmt::join(names, ", "),
                       more == 0 ? "" : fmt::format(" and {} more", more));
  }

  void read_entries(const Value& dict) {
    std::vector<Value> others;
    std::set<std::string_view> names;
    for (const Item& entry : items(dict)) {
      const Node* call = tensor_call(entry.value);
      const auto* name = std::get_if<std::string_view>(&entry.key);
      if (call == nullptr || name == nullptr) {
        others.push_back(entry.key);
        continue;
      }
      DS_CHECK(names.insert(*name).second, "tensor '{}' is there twice", *name);
      try {
        result_.tensors.push_back(read_tensor(*call));
        result_.tensors.back().spec.name = *name;
      } catch (const Error& error) {
        fail("tensor '{}': {}", *name, error.what());
      }
    }
    DS_CHECK(!result_.tensors.empty(), "holds no state dict: there are no tensors in it{}", left_out(others));
    if (!others.empty()) result_.notes.push_back("took the tensors" + left_out(others));
  }

  void strip_prefix() {
    const auto prefixed = [](const StridedTensor& tensor) {
      return tensor.spec.name.starts_with(kDataParallelPrefix);
    };
    if (!std::ranges::all_of(result_.tensors, prefixed)) return;
    for (StridedTensor& tensor : result_.tensors) tensor.spec.name.erase(0, kDataParallelPrefix.size());
    result_.notes.push_back(fmt::format("stripped '{}' before all names", kDataParallelPrefix));
  }

  // ---- Tensors

  /// The call that makes the tensor which a value is, within a Parameter or not; null for anything else.
  const Node* tensor_call(const Value& value) const {
    const Node* call = pickle_.node(value, NodeKind::kCall);
    if (call == nullptr) return nullptr;
    const std::string_view callee = callee_of(*call);
    if (callee == kRebuildParameter || callee == kParameter) {
      call = pickle_.node(parameter_data(*call), NodeKind::kCall);
      if (call == nullptr) return nullptr;
    }
    const std::string_view maker = callee_of(*call);
    return maker == kRebuildTensor || maker == kRebuildTensorV2 ? call : nullptr;
  }

  static std::string_view callee_of(const Node& call) { return std::get<Global>(call.items[0]).name; }
  const std::vector<Value>& arguments_of(const Node& call) const {
    return pickle_.node(std::get<NodeId>(call.items[1])).items;
  }

  /// The oldest Parameters are made of nothing, and have their data in a state of five.
  Value parameter_data(const Node& call) const {
    const Node* state = call.items.size() > 2 ? pickle_.node(call.items[2], NodeKind::kTuple) : nullptr;
    if (state != nullptr && state->items.size() == 5) return state->items.front();
    const std::vector<Value>& arguments = arguments_of(call);
    return arguments.empty() ? Value() : arguments.front();
  }

  StridedTensor read_tensor(const Node& call) const {
    const std::vector<Value>& arguments = arguments_of(call);
    DS_CHECK(arguments.size() >= 4, "it is made of {} arguments, expected storage, offset, size, stride",
             arguments.size());
    const Node* persistent = pickle_.node(arguments[0], NodeKind::kPersistent);
    DS_CHECK(persistent != nullptr, "its storage is {}", pickle_.describe(arguments[0]));
    StridedTensor tensor;
    tensor.storage = storage_id(*persistent);
    tensor.spec.dtype = tensor.storage.type->dtype;
    tensor.spec.shape = Shape(counts(arguments[2], "its size"));
    tensor.offset = count(arguments[1], "its offset");
    tensor.strides = counts(arguments[3], "its stride");
    place_in_view(*persistent, tensor);
    return tensor;
  }

  /// Old files know views of storages: ..., (key, first element, size). Checks that all elements are
  /// within, and counts them from the start of the storage itself.
  void place_in_view(const Node& persistent, StridedTensor& tensor) const {
    int64_t first = 0;
    int64_t size = tensor.storage.elements;
    const std::vector<Value>& id = tuple(persistent.items.front(), "the id of a storage");
    if (id.size() == 6 && !std::holds_alternative<None>(id[5])) {
      const std::vector<Value>& view = tuple(id[5], "a view of a storage");
      DS_CHECK(view.size() == 3, "a view of a storage is a tuple of {}, expected key, offset, size",
               view.size());
      first = count(view[1], "the offset of a view");
      size = count(view[2], "the size of a view");
      DS_CHECK(first <= tensor.storage.elements && size <= tensor.storage.elements - first,
               "elements {} to {} + {} of a storage of {} are viewed", first, first, size,
               tensor.storage.elements);
    }
    check_within(tensor, size);
    tensor.offset = tensor.spec.shape.numel() == 0 ? 0 : tensor.offset + first;
  }

  /// An axis of one element has any stride, and gets 0.
  static void check_within(StridedTensor& tensor, int64_t size) {
    const Shape& shape = tensor.spec.shape;
    DS_CHECK(static_cast<int>(tensor.strides.size()) == shape.rank(), "it has the size {} and {} strides",
             shape.str(), tensor.strides.size());
    if (shape.numel() == 0) return;
    int64_t last = tensor.offset;
    bool overflow = false;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      int64_t step = 0;
      int64_t& stride = tensor.strides[static_cast<size_t>(axis)];
      if (shape[axis] == 1) stride = 0;
      overflow |= __builtin_mul_overflow(shape[axis] - 1, stride, &step);
      overflow |= __builtin_add_overflow(last, step, &last);
    }
    DS_CHECK(!overflow && last < size,
             "size {}, strides [{}] and offset {} reach beyond the {} elements of its storage", shape.str(),
             fmt::join(tensor.strides, ", "), tensor.offset, size);
  }

  const Pickle& pickle_;
  StateDict result_;
};

}  // namespace

std::span<const std::string_view> known_globals() {
  static const auto names = [] {
    std::vector<std::string_view> result = {kRebuildTensor, kRebuildTensorV2, kRebuildParameter, kParameter};
    for (const StorageType& type : kStorageTypes) result.push_back(type.name);
    return result;
  }();
  return names;
}

std::vector<StorageId> storage_ids(const Pickle& pickle) {
  const StateDictReader reader(pickle);
  std::vector<StorageId> ids;
  for (const Node& node : pickle.nodes()) {
    if (node.kind == NodeKind::kPersistent) ids.push_back(reader.storage_id(node));
  }
  return ids;
}

StateDict read_state_dict(const Pickle& pickle) { return StateDictReader(pickle).read(); }

}  // namespace ds::torch_file
