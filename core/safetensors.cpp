#include "core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/torch_file.h"

namespace ds {
namespace {

using Json = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so is this code");

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the bound of the Python library
constexpr const char* kMetadataKey = "__metadata__";

/// Spelling of the format.
constexpr std::pair<std::string_view, DType> kTypeNames[] = {
    {"F32", DType::kF32}, {"F64", DType::kF64}, {"BF16", DType::kBf16}, {"U8", DType::kU8},
    {"I8", DType::kI8},   {"I16", DType::kI16}, {"I32", DType::kI32},   {"I64", DType::kI64},
};

std::string_view type_name(DType dtype) {
  for (const auto& [name, type] : kTypeNames) {
    if (type == dtype) return name;
  }
  return "?";
}

/// Parses the header, refusing what a plain parse lets through: a key given twice, and deep nesting.
Json parse_header(const std::string& path, std::string_view text) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    constexpr int kDeepest = 3;  // the sizes in {"name": {"shape": [2, 3]}}
    DS_CHECK(depth <= kDeepest, "[safetensors] {}: the header is nested more than {} deep", path, kDeepest);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto& name = value.get_ref<const std::string&>();
      DS_CHECK(keys.back().insert(name).second, "[safetensors] {}: the header has '{}' twice", path, name);
    }
    return true;
  };
  try {
    Json header = Json::parse(text, watch);
    DS_CHECK(header.is_object(), "[safetensors] {}: the header is {}, expected an object", path,
             header.type_name());
    return header;
  } catch (const Json::parse_error& error) {
    fail("[safetensors] {}: the header is not JSON at byte {} of the file: {}", path,
         kLengthBytes + std::max<size_t>(error.byte, 1) - 1, error.what());
  } catch (const Json::exception& error) {
    fail("[safetensors] {}: the header cannot be read: {}", path, error.what());
  }
}

Metadata read_metadata(const std::string& path, const Json& object) {
  DS_CHECK(object.is_object(), "[safetensors] {}: {} is {}, expected an object of strings", path,
           kMetadataKey, object.type_name());
  Metadata metadata;
  for (const auto& item : object.items()) {
    DS_CHECK(item.value().is_string(), "[safetensors] {}: {} '{}' is {}, expected a string", path,
             kMetadataKey, item.key(), item.value().type_name());
    metadata[item.key()] = item.value().get<std::string>();
  }
  return metadata;
}

/// Reads one entry of the header; `where` names the file and the tensor.
class EntryReader {
 public:
  EntryReader(std::string where, const Json& object) : where_(std::move(where)), object_(object) {
    DS_CHECK(object.is_object(), "[safetensors] {}: is {}, expected an object", where_, object.type_name());
  }

  TensorEntry read() const {
    TensorEntry entry;
    entry.dtype = dtype();
    entry.shape = shape();
    const std::vector<int64_t> offsets = integers("data_offsets");
    DS_CHECK(offsets.size() == 2 && offsets[0] <= offsets[1],
             "[safetensors] {}: data_offsets is {}, expected a begin and an end not before it", where_,
             object_.at("data_offsets").dump());
    entry.begin = static_cast<size_t>(offsets[0]);
    entry.end = static_cast<size_t>(offsets[1]);
    size_t bytes = 0;
    const bool overflow =
        __builtin_mul_overflow(static_cast<size_t>(entry.shape.numel()), size_of(entry.dtype), &bytes);
    DS_CHECK(!overflow && entry.end - entry.begin == bytes,
             "[safetensors] {}: data_offsets [{}, {}] hold {} bytes, expected those of {} {}", where_,
             entry.begin, entry.end, entry.end - entry.begin, type_name(entry.dtype), entry.shape.str());
    return entry;
  }

 private:
  const Json& field(const char* name) const {
    const auto found = object_.find(name);
    DS_CHECK(found != object_.end(), "[safetensors] {}: has no {}", where_, name);
    return *found;
  }

  DType dtype() const {
    const Json& text = field("dtype");
    DS_CHECK(text.is_string(), "[safetensors] {}: dtype is {}, expected a string", where_, text.dump());
    const auto& found = text.get_ref<const std::string&>();
    for (const auto& [name, type] : kTypeNames) {
      if (name == found) return type;
    }
    fail("[safetensors] {}: dtype {} is not supported, expected F32, F64, BF16, U8, I8, I16, I32 or I64",
         where_, text.dump());
  }

  std::vector<int64_t> integers(const char* name) const {
    const Json& list = field(name);
    DS_CHECK(list.is_array(), "[safetensors] {}: {} is {}, expected a list", where_, name, list.type_name());
    std::vector<int64_t> values;
    for (const Json& value : list) {
      DS_CHECK(value.is_number_unsigned() && std::in_range<int64_t>(value.get<uint64_t>()),
               "[safetensors] {}: {} has the element {}, expected an integer in [0, 2^63)", where_, name,
               value.dump());
      values.push_back(value.get<int64_t>());
    }
    return values;
  }

  Shape shape() const {
    try {
      return Shape(integers("shape"));
    } catch (const Error& error) {
      fail("[safetensors] {}: shape {}: {}", where_, field("shape").dump(), error.what());
    }
  }

  std::string where_;
  const Json& object_;
};

using Entries = std::map<std::string, TensorEntry>;

std::vector<std::string> names_by_offset(const Entries& entries) {
  std::vector<std::string> names;
  for (const auto& item : entries) names.push_back(item.first);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    const TensorEntry& left = entries.at(a);
    const TensorEntry& right = entries.at(b);
    return std::pair(left.begin, left.end) < std::pair(right.begin, right.end);
  });
  return names;
}

/// The tensors must cover the data section from its start to its end, without gaps and without sharing.
void check_layout(const std::string& path, const Entries& entries, size_t data_bytes) {
  size_t position = 0;
  for (const std::string& name : names_by_offset(entries)) {
    const TensorEntry& entry = entries.at(name);
    DS_CHECK(entry.begin == position, "[safetensors] {}: tensor '{}' begins at offset {}, expected {} ({})",
             path, name, entry.begin, position,
             entry.begin < position ? "it overlaps the tensor before" : "there is a gap before it");
    position = entry.end;
  }
  DS_CHECK(position <= data_bytes,
           "[safetensors] {}: the tensors take {} bytes and the file holds {}: {} bytes are missing", path,
           position, data_bytes, position - data_bytes);
  DS_CHECK(position == data_bytes, "[safetensors] {}: {} bytes follow the last tensor, expected none", path,
           data_bytes - position);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(path, "safetensors") {
  const std::string_view bytes = file_.bytes();
  DS_CHECK(bytes.size() >= kLengthBytes,
           "[safetensors] {}: has {} bytes, expected at least {} (the header length)", path, bytes.size(),
           kLengthBytes);
  DS_CHECK(!is_torch_file(bytes),
           "[safetensors] {}: is a file of torch.save: `deepshift import` makes a safetensors file of it",
           path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  DS_CHECK(header_bytes <= kMaxHeaderBytes,
           "[safetensors] {}: the header length is {}, expected at most {}; is it a safetensors file?", path,
           header_bytes, kMaxHeaderBytes);
  const size_t rest = bytes.size() - kLengthBytes;
  DS_CHECK(header_bytes <= rest,
           "[safetensors] {}: the header takes {} bytes and the file holds {} of them: {} bytes are missing",
           path, header_bytes, rest, header_bytes - rest);
  const Json header = parse_header(path, bytes.substr(kLengthBytes, header_bytes));
  for (const auto& item : header.items()) {
    if (item.key() == kMetadataKey) {
      metadata_ = read_metadata(path, item.value());
    } else {
      const EntryReader reader(fmt::format("{}: tensor '{}'", path, item.key()), item.value());
      entries_.emplace(item.key(), reader.read());
    }
  }
  data_offset_ = kLengthBytes + header_bytes;
  check_layout(path, entries_, bytes.size() - data_offset_);
}

std::vector<std::string> SafetensorsFile::names() const { return names_by_offset(entries_); }

std::vector<TensorSpec> SafetensorsFile::tensors() const {
  std::vector<TensorSpec> specs;
  for (const std::string& name : names()) {
    specs.push_back({.name = name, .dtype = entry(name).dtype, .shape = entry(name).shape});
  }
  return specs;
}

const TensorEntry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  DS_CHECK(found != entries_.end(), "[safetensors] {}: has no tensor '{}'", path_, name);
  return found->second;
}

Tensor SafetensorsFile::read(const std::string& name) const {
  const TensorEntry& wanted = entry(name);
  Tensor result = Tensor::empty(wanted.shape, wanted.dtype);
  const char* bytes = file_.bytes().data() + data_offset_ + wanted.begin;
  if (result.bytes() > 0) std::memcpy(result.raw(), bytes, result.bytes());
  return result;
}

namespace {

std::string make_header(const std::string& path, const std::vector<TensorSpec>& tensors,
                        const Metadata& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  size_t position = 0;
  for (const TensorSpec& tensor : tensors) {
    DS_CHECK(tensor.name != kMetadataKey && !header.contains(tensor.name),
             "[safetensors] {}: the name '{}' is {}, expected another one", path, tensor.name,
             tensor.name == kMetadataKey ? "reserved" : "given twice");
    const auto sizes = tensor.shape.sizes();
    const size_t end = position + static_cast<size_t>(tensor.shape.numel()) * size_of(tensor.dtype);
    header[tensor.name] = {{"dtype", type_name(tensor.dtype)},
                           {"shape", std::vector<int64_t>(sizes.begin(), sizes.end())},
                           {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& error) {
    fail("[safetensors] {}: a name or metadata is not UTF-8: {}", path, error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data section begins at a multiple of 8
  DS_CHECK(text.size() <= kMaxHeaderBytes, "[safetensors] {}: the header takes {} bytes, expected at most {}",
           path, text.size(), kMaxHeaderBytes);
  return text;
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorSpec>& tensors,
                       const std::function<Tensor(size_t)>& value, const Metadata& metadata) {
  const std::string header = make_header(path, tensors, metadata);
  const uint64_t header_bytes = header.size();
  AtomicFile file(path);
  file.write(&header_bytes, kLengthBytes);
  file.write(header.data(), header.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor host = value(i).to(Device{});
    DS_CHECK(host.shape() == tensors[i].shape && host.dtype() == tensors[i].dtype,
             "[safetensors] {}: tensor '{}' is {} {}, expected {} {}", path, tensors[i].name,
             type_name(host.dtype()), host.shape().str(), type_name(tensors[i].dtype),
             tensors[i].shape.str());
    file.write(host.raw(), host.bytes());
  }
  file.commit();
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata) {
  std::vector<TensorSpec> specs;
  for (const NamedTensor& tensor : tensors) {
    DS_CHECK(tensor.value.defined(), "[safetensors] {}: tensor '{}' to be written is not there", path,
             tensor.name);
    specs.push_back({.name = tensor.name, .dtype = tensor.value.dtype(), .shape = tensor.value.shape()});
  }
  write_safetensors(
      path, specs, [&](size_t i) { return tensors[i].value; }, metadata);
}

}  // namespace ds
