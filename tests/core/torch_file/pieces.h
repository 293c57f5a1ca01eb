// Pieces of files as torch.save writes them, to build by hand what PyTorch would not write.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace ds::test {

/// The little-endian bytes of a number.
template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// ---- Pickles

inline std::string text(const std::string& value) {
  return "X" + little_endian(static_cast<uint32_t>(value.size())) + value;
}
inline std::string integer(int64_t value) { return "\x8a\x08" + little_endian(value); }
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string call(const std::string& callee, const std::string& arguments) {
  return callee + tuple(arguments) + "R";
}
inline std::string program(const std::string& body) { return "\x80\x02" + body + "."; }

inline std::string storage(const std::string& key, int64_t elements, const std::string& view = "",
                           const std::string& type = "FloatStorage") {
  return tuple(text("storage") + global("torch", type) + text(key) + text("cpu") + integer(elements) + view) +
         "Q";
}
inline std::string tensor(const std::string& storage, int64_t offset, const std::string& sizes,
                          const std::string& strides) {
  return call(global("torch._utils", "_rebuild_tensor"),
              storage + integer(offset) + tuple(sizes) + tuple(strides));
}
/// A tensor of that many elements, the whole storage.
inline std::string vector(const std::string& key, int64_t elements) {
  return tensor(storage(key, elements), 0, integer(elements), integer(1));
}
/// key, value, key, value, ...
inline std::string dict(const std::string& items) { return "}(" + items + "u"; }

// ---- Containers

struct ZipEntry {
  std::string name;
  std::string content;
  uint16_t method = 0;
};

inline std::string zip_of(const std::vector<ZipEntry>& entries) {
  std::string file;
  std::string list;
  for (const ZipEntry& entry : entries) {
    const auto size = static_cast<uint32_t>(entry.content.size());
    const auto crc =
        static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(entry.content.data()), size));
    const std::string common = std::string(2, '\0') + little_endian(entry.method) + std::string(4, '\0') +
                               little_endian(crc) + little_endian(size) + little_endian(size) +
                               little_endian(static_cast<uint16_t>(entry.name.size())) + std::string(2, '\0');
    list += "PK\x01\x02" + std::string(4, '\0') + common + std::string(10, '\0') +
            little_endian(static_cast<uint32_t>(file.size())) + entry.name;
    file += "PK\x03\x04" + std::string(2, '\0') + common + entry.name + entry.content;
  }
  const auto count = little_endian(static_cast<uint16_t>(entries.size()));
  const auto list_bytes = little_endian(static_cast<uint32_t>(list.size()));
  const auto list_offset = little_endian(static_cast<uint32_t>(file.size()));
  return file + list + "PK\x05\x06" + std::string(4, '\0') + count + count + list_bytes + list_offset +
         std::string(2, '\0');
}

/// key and bytes of each storage
using Storages = std::vector<std::pair<std::string, std::string>>;

inline std::string zip_file(const std::string& pickle, const Storages& storages) {
  std::vector<ZipEntry> entries = {{"a/data.pkl", pickle}};
  for (const auto& [key, bytes] : storages) entries.push_back({"a/data/" + key, bytes});
  return zip_of(entries);
}

inline std::string legacy_head(const std::string& little_endian_flag = "\x88") {
  return program("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + program(integer(1001)) +
         program(dict(text("little_endian") + little_endian_flag));
}
/// Storages of elements of 4 bytes.
inline std::string legacy_file(const std::string& pickle, const Storages& storages) {
  std::string keys;
  std::string data;
  for (const auto& [key, bytes] : storages) {
    keys += text(key);
    data += little_endian(static_cast<int64_t>(bytes.size() / 4)) + bytes;
  }
  return legacy_head() + pickle + program("](" + keys + "e") + data;
}

}  // namespace ds::test
