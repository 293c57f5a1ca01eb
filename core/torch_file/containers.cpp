#include "core/torch_file/containers.h"

#include "core/error.h"

namespace ds::torch_file {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kLegacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;  // little-endian
constexpr int64_t kLegacyProtocol = 1001;
constexpr size_t kMagicWithin = 24;  // bytes from the start: after PROTO, FRAME and LONG1

uint64_t bytes_of(const StorageId& id) {
  uint64_t bytes = 0;
  DS_CHECK(!__builtin_mul_overflow(static_cast<uint64_t>(id.elements), id.type->element_bytes, &bytes),
           "a storage has {} elements", id.elements);
  return bytes;
}

/// By key. Throws Error when two ids of one storage differ.
std::map<std::string_view, StorageId> ids_by_key(const Pickle& pickle) {
  std::map<std::string_view, StorageId> ids;
  for (const StorageId& id : storage_ids(pickle)) {
    const StorageId& first = ids.emplace(id.key, id).first->second;
    DS_CHECK(first.type == id.type && first.elements == id.elements,
             "storage '{}' is of {} {} and of {} {}, expected one type and size", id.key, first.elements,
             first.type->name, id.elements, id.type->name);
  }
  return ids;
}

Pickle read_plain(ByteReader& reader) { return {reader, {}}; }

void check_legacy_head(ByteReader& reader) {
  const Pickle magic = read_plain(reader);
  const auto* number = std::get_if<BigInteger>(&magic.root());
  DS_CHECK(number != nullptr && number->bytes == kLegacyMagic,
           "begins with another number than torch.save's");
  const Pickle protocol = read_plain(reader);
  const auto* version = std::get_if<int64_t>(&protocol.root());
  DS_CHECK(version != nullptr && *version == kLegacyProtocol, "its protocol is {}, expected {}",
           protocol.describe(protocol.root()), kLegacyProtocol);
  const Pickle machine = read_plain(reader);
  const Node* facts = machine.node(machine.root(), NodeKind::kDict);
  DS_CHECK(facts != nullptr, "says {} of the machine that wrote it, expected a dict",
           machine.describe(machine.root()));
  for (size_t i = 0; i < facts->items.size(); i += 2) {
    const auto* key = std::get_if<std::string_view>(&facts->items[i]);
    const auto* value = std::get_if<bool>(&facts->items[i + 1]);
    DS_CHECK(key == nullptr || *key != "little_endian" || (value != nullptr && *value),
             "was written by a big-endian machine, expected a little-endian file");
  }
}

}  // namespace

bool is_zip(std::string_view bytes) { return bytes.starts_with(kZipMagic); }

bool is_legacy(std::string_view bytes) {
  return bytes.substr(0, kMagicWithin).find(kLegacyMagic) != std::string_view::npos;
}

Container open_zip(std::string_view bytes) {
  const ZipArchive archive(bytes);
  const std::string name = archive.only_entry("/data.pkl");
  const std::string folder = name.substr(0, name.size() - "data.pkl"sv.size());
  if (const std::string order = folder + "byteorder"; archive.contains(order)) {
    const std::string_view found = archive.content(order).bytes;
    DS_CHECK(found == "little", "'{}' says '{}', expected 'little'", order, found);
  }
  const Piece program = archive.content(name);
  check_crc(program, name);
  ByteReader reader(program.bytes, fmt::format("'{}'", name));
  Container container{.pickle = Pickle(reader, known_globals()), .storages = {}};
  for (const auto& [key, id] : ids_by_key(container.pickle)) {
    const std::string entry = fmt::format("{}data/{}", folder, key);
    const Piece piece = archive.content(entry);
    DS_CHECK(piece.bytes.size() == bytes_of(id), "'{}' has {} bytes, expected those of {} elements of {}",
             entry, piece.bytes.size(), id.elements, id.type->name);
    container.storages[key] = {.piece = piece, .checked = false};
  }
  return container;
}

Container open_legacy(std::string_view bytes) {
  ByteReader reader(bytes, "the file");
  check_legacy_head(reader);
  Container container{.pickle = Pickle(reader, known_globals()), .storages = {}};
  const std::map<std::string_view, StorageId> ids = ids_by_key(container.pickle);
  const Pickle keys = read_plain(reader);
  const Node* list = keys.node(keys.root(), NodeKind::kList);
  DS_CHECK(list != nullptr && list->items.size() == ids.size(),
           "lists {} as the keys of its storages, expected {} keys", keys.describe(keys.root()), ids.size());
  for (const Value& value : list->items) {
    const auto* key = std::get_if<std::string_view>(&value);
    const auto id = key == nullptr ? ids.end() : ids.find(*key);
    DS_CHECK(id != ids.end(), "lists {} among the keys of its storages, and no tensor has it",
             keys.describe(value));
    const auto elements = reader.number<int64_t>();
    DS_CHECK(elements == id->second.elements, "storage '{}' has {} elements, expected {}", *key, elements,
             id->second.elements);
    container.storages[*key] = {.piece = {.bytes = reader.take(bytes_of(id->second))}, .checked = true};
  }
  DS_CHECK(container.storages.size() == ids.size(), "lists a storage twice");
  DS_CHECK(reader.left() == 0, "{} bytes follow the last storage, expected none", reader.left());
  return container;
}

}  // namespace ds::torch_file
