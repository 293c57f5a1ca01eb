#include "infer/integer_net_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace ds::infer {
namespace {

using Json = nlohmann::json;

constexpr const char* kKey = "deepshift.integer_net";
constexpr int kVersion = 2;
constexpr int kVersionOfOneTerm = 1;  // older readers take that

std::string tensor_name(size_t node, const char* what) { return fmt::format("node{}.{}", node, what); }

/// An integer of the type, and nothing that merely converts to one.
template <class T>
T read_integer(const Json& json) {
  DS_CHECK(json.is_number_integer() && (!json.is_number_unsigned() || json.get<uint64_t>() <= INT64_MAX) &&
               std::in_range<T>(json.get<int64_t>()),
           "found {}, expected an integer", json.dump());
  return static_cast<T>(json.get<int64_t>());
}

template <class T>
std::vector<T> read_integers(const Json& json) {
  DS_CHECK(json.is_array(), "found {}, expected a list of integers", json.dump());
  std::vector<T> values;
  for (const Json& value : json) values.push_back(read_integer<T>(value));
  return values;
}

Json size_json(Size2d size) { return {size.height, size.width}; }

Size2d read_size(const Json& json) {
  const auto sizes = read_integers<int64_t>(json);
  DS_CHECK(sizes.size() == 2, "{} sizes, expected height and width", sizes.size());
  return {sizes[0], sizes[1]};
}

Json shape_json(const Shape& shape) {
  const auto sizes = shape.sizes();
  return std::vector<int64_t>(sizes.begin(), sizes.end());
}

Shape read_shape(const Json& json) { return Shape(read_integers<int64_t>(json)); }

DType read_type(const std::string& text) {
  for (const DType type : {DType::kU8, DType::kI8, DType::kI16, DType::kI32}) {
    if (text == ds::name_of(type)) return type;
  }
  fail("type \"{}\", expected u8, i8, i16 or i32", text);
}

/// The members that the node's kind has, and no others.
Json node_json(const Node& node) {
  Json json = {{"kind", name_of(node.kind)},
               {"place", node.place},
               {"inputs", node.inputs},
               {"shape", shape_json(node.shape)},
               {"type", ds::name_of(node.format.type)},
               {"fraction_bits", node.format.fraction_bits},
               {"low", node.low},
               {"high", node.high}};
  if (node.shortcut >= 0) json["shortcut"] = node.shortcut;
  if (node.filtered()) {
    json["weight"] = {{"method", name_of(node.filters.format.method)},
                      {"bits", node.filters.format.bits},
                      {"shape", shape_json(node.filters.shape)}};
    if (node.filters.format.terms != 1) json["weight"]["terms"] = node.filters.format.terms;
  }
  if (node.rescaled()) json["pre_shift"] = node.rescale.pre_shift;
  if (node.kind == NodeKind::kConv2d) {
    json["stride"] = size_json(node.convolution.stride);
    json["padding"] = size_json(node.convolution.padding);
    json["dilation"] = size_json(node.convolution.dilation);
    json["groups"] = node.convolution.groups;
  }
  if (node.kind == NodeKind::kMaxPool2d || node.kind == NodeKind::kAvgPool2d) {
    json["kernel"] = size_json(node.pool.kernel);
    json["stride"] = size_json(node.pool.stride);
    json["padding"] = size_json(node.pool.padding);
    if (node.pool.ceil_mode) json["ceil_mode"] = true;
  }
  if (node.kind == NodeKind::kSubsample2d) json["stride"] = size_json(node.stride);
  if (node.kind == NodeKind::kPadChannels) json["channels"] = {node.padding.before, node.padding.after};
  return json;
}

void read_options(const Json& json, Node& node) {
  if (node.kind == NodeKind::kConv2d) {
    node.convolution = {.stride = read_size(json.at("stride")),
                        .padding = read_size(json.at("padding")),
                        .dilation = read_size(json.at("dilation")),
                        .groups = read_integer<int64_t>(json.at("groups"))};
  }
  if (node.kind == NodeKind::kMaxPool2d || node.kind == NodeKind::kAvgPool2d) {
    node.pool = {.kernel = read_size(json.at("kernel")),
                 .stride = read_size(json.at("stride")),
                 .padding = read_size(json.at("padding")),
                 .ceil_mode = json.value("ceil_mode", false)};
  }
  if (node.kind == NodeKind::kSubsample2d) node.stride = read_size(json.at("stride"));
  if (node.kind == NodeKind::kPadChannels) {
    const Size2d channels = read_size(json.at("channels"));
    node.padding = {.before = channels.height, .after = channels.width};
  }
}

template <class T>
std::vector<T> read_vector(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry& entry = file.entry(name);
  DS_CHECK(entry.dtype == dtype_of<T>() && entry.shape.rank() == 1, "{} is {} {}, expected {} of one axis",
           name, ds::name_of(entry.dtype), entry.shape.str(), ds::name_of(dtype_of<T>()));
  return file.read(name).to_vector<T>();
}

Node read_node(const SafetensorsFile& file, const Json& json, size_t index) {
  Node node{.kind = parse_node_kind(json.at("kind").get<std::string>()),
            .place = json.at("place").get<std::string>(),
            .inputs = read_integers<int>(json.at("inputs")),
            .shortcut = json.contains("shortcut") ? read_integer<int>(json.at("shortcut")) : -1};
  node.shape = read_shape(json.at("shape"));
  node.format = {.type = read_type(json.at("type").get<std::string>()),
                 .fraction_bits = read_integer<int>(json.at("fraction_bits"))};
  node.low = read_integer<int64_t>(json.at("low"));
  node.high = read_integer<int64_t>(json.at("high"));
  read_options(json, node);
  if (node.filtered()) {
    const Json& weight = json.at("weight");
    node.filters = {.format = {.method = parse_shift_method(weight.at("method").get<std::string>()),
                               .bits = read_integer<int>(weight.at("bits")),
                               .terms = weight.contains("terms") ? read_integer<int>(weight.at("terms")) : 1},
                    .shape = read_shape(weight.at("shape")),
                    .codes = read_vector<uint8_t>(file, tensor_name(index, "codes"))};
  }
  if (node.rescaled()) {
    const auto shifts = read_vector<uint8_t>(file, tensor_name(index, "shift"));
    node.rescale = {.pre_shift = read_integer<int>(json.at("pre_shift")),
                    .multiplier = read_vector<int32_t>(file, tensor_name(index, "multiplier")),
                    .addend = read_vector<int64_t>(file, tensor_name(index, "addend")),
                    .shift = {shifts.begin(), shifts.end()}};
  }
  return node;
}

/// Errors get the node's number.
Node read_named_node(const SafetensorsFile& file, const Json& json, size_t index) {
  try {
    return read_node(file, json, index);
  } catch (const std::exception& error) {
    fail("node {}: {}", index, error.what());
  }
}

template <class T>
NamedTensor vector_tensor(std::string name, const std::vector<T>& values) {
  return {std::move(name), Tensor::from(values, {static_cast<int64_t>(values.size())})};
}

}  // namespace

bool holds_integer_net(const SafetensorsFile& file) { return file.metadata().contains(kKey); }

void save_integer_net(const std::string& path, const IntegerNet& net, const Metadata& notes) {
  std::vector<NamedTensor> tensors;
  Json nodes = Json::array();
  for (size_t i = 0; i < net.nodes().size(); ++i) {
    const Node& node = net.nodes()[i];
    nodes.push_back(node_json(node));
    if (node.filtered()) tensors.push_back(vector_tensor(tensor_name(i, "codes"), node.filters.codes));
    if (!node.rescaled()) continue;
    const std::vector<uint8_t> shifts(node.rescale.shift.begin(), node.rescale.shift.end());
    tensors.push_back(vector_tensor(tensor_name(i, "multiplier"), node.rescale.multiplier));
    tensors.push_back(vector_tensor(tensor_name(i, "addend"), node.rescale.addend));
    tensors.push_back(vector_tensor(tensor_name(i, "shift"), shifts));
  }
  Metadata metadata = notes;
  const bool one_term =
      std::ranges::all_of(net.nodes(), [](const Node& node) { return node.filters.format.terms == 1; });
  metadata[kKey] =
      Json{{"version", one_term ? kVersionOfOneTerm : kVersion}, {"nodes", std::move(nodes)}}.dump();
  write_safetensors(path, tensors, metadata);
}

IntegerNet load_integer_net(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kKey);
  DS_CHECK(found != file.metadata().end(), "[integer_net] {}: no integer net, its metadata have no \"{}\"",
           file.path(), kKey);
  try {
    const Json json = parse_json(found->second);
    const int version = read_integer<int>(json.at("version"));
    DS_CHECK(version >= 1 && version <= kVersion, "version {}, expected 1 to {}", version, kVersion);
    std::vector<Node> nodes;
    for (const Json& node : json.at("nodes")) nodes.push_back(read_named_node(file, node, nodes.size()));
    return IntegerNet(std::move(nodes));
  } catch (const Json::exception& error) {
    fail("[integer_net] {}: \"{}\" in the metadata: {}", file.path(), kKey, error.what());
  } catch (const Error& error) {
    fail("[integer_net] {}: {}", file.path(), error.what());
  }
}

IntegerNet load_integer_net(const std::string& path) { return load_integer_net(SafetensorsFile(path)); }

}  // namespace ds::infer
