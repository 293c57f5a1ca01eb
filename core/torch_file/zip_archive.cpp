#include "core/torch_file/zip_archive.h"

#include <zlib.h>

#include <limits>

#include "core/error.h"
#include "core/torch_file/byte_reader.h"

namespace ds::torch_file {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;

constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocatorBytes = 20;

constexpr uint16_t kExtra64 = 1;                                      // the extra field of 64-bit sizes
constexpr uint64_t kIn64Bits = std::numeric_limits<uint32_t>::max();  // "see the 64-bit extension"
constexpr uint16_t kEncrypted = 1;                                    // a flag

/// Replaces the numbers that 32 bits could not hold by those of the extra field.
void read_extra(ByteReader extra, std::initializer_list<uint64_t*> numbers) {
  while (extra.left() > 0) {
    const auto kind = extra.number<uint16_t>();
    ByteReader field(extra.take(extra.number<uint16_t>()), extra.where());
    if (kind != kExtra64) continue;
    for (uint64_t* number : numbers) {
      if (*number == kIn64Bits) *number = field.number<uint64_t>();
    }
  }
}

}  // namespace

void check_crc(const Piece& piece, std::string_view what) {
  const auto* bytes = reinterpret_cast<const Bytef*>(piece.bytes.data());
  const uint64_t crc = ::crc32_z(0, bytes, piece.bytes.size());
  DS_CHECK(crc == piece.crc, "{}: has the checksum {:08x}, expected {:08x}: the file is damaged", what, crc,
           piece.crc);
}

ZipArchive::ZipArchive(std::string_view bytes) : bytes_(bytes), directory_(find_directory()) {
  read_directory();
}

/// The end record is the file's last 22 bytes, since torch.save writes no comment; its 64-bit form is in
/// front.
ZipArchive::Directory ZipArchive::find_directory() const {
  DS_CHECK(bytes_.size() >= kEndBytes, "has {} bytes, fewer than the end of a zip archive", bytes_.size());
  size_t end = bytes_.size() - kEndBytes;
  ByteReader record(bytes_.substr(end), "end record");
  DS_CHECK(record.number<uint32_t>() == kEnd,
           "does not end as a zip archive does: it is truncated, or something follows");
  record.take(6);  // numbers of disks, entries of this disk
  Directory directory{.entries = record.number<uint16_t>()};
  directory.bytes = record.number<uint32_t>();
  directory.offset = record.number<uint32_t>();
  if (end >= kLocatorBytes + kEnd64Bytes) {
    ByteReader locator(bytes_.substr(end - kLocatorBytes, kLocatorBytes), "locator");
    if (locator.number<uint32_t>() == kEnd64Locator) {
      end -= kLocatorBytes + kEnd64Bytes;
      ByteReader record64(bytes_.substr(end, kEnd64Bytes), "64-bit end record");
      DS_CHECK(record64.number<uint32_t>() == kEnd64, "has no 64-bit end record at byte {}", end);
      record64.take(28);  // size and versions of the record, numbers of disks, entries of this disk
      directory.entries = record64.number<uint64_t>();
      directory.bytes = record64.number<uint64_t>();
      directory.offset = record64.number<uint64_t>();
    }
  }
  DS_CHECK(directory.bytes <= end && directory.offset == end - directory.bytes,
           "the list of entries is said to have {} bytes at byte {}, expected it to end at byte {}",
           directory.bytes, directory.offset, end);
  return directory;
}

void ZipArchive::read_directory() {
  ByteReader list(bytes_.substr(directory_.offset, directory_.bytes), "list of entries");
  while (list.left() > 0) {
    DS_CHECK(list.number<uint32_t>() == kDirectoryEntry, "{}: no entry at byte {}", list.where(),
             list.position() - sizeof(uint32_t));
    Entry entry;
    list.take(4);  // versions
    entry.flags = list.number<uint16_t>();
    entry.method = list.number<uint16_t>();
    list.take(4);  // time
    entry.crc = list.number<uint32_t>();
    entry.compressed = list.number<uint32_t>();
    entry.size = list.number<uint32_t>();
    const auto name_bytes = list.number<uint16_t>();
    const auto extra_bytes = list.number<uint16_t>();
    const auto comment_bytes = list.number<uint16_t>();
    list.take(8);  // disk, attributes
    entry.offset = list.number<uint32_t>();
    const std::string_view name = list.take(name_bytes);
    read_extra(ByteReader(list.take(extra_bytes), list.where()),
               {&entry.size, &entry.compressed, &entry.offset});
    list.take(comment_bytes);
    DS_CHECK(entries_.emplace(name, entry).second, "{}: '{}' is there twice", list.where(), name);
  }
  DS_CHECK(entries_.size() == directory_.entries, "{}: has {} entries, expected {}", list.where(),
           entries_.size(), directory_.entries);
}

std::string ZipArchive::only_entry(std::string_view ending) const {
  std::string_view found;
  for (const auto& item : entries_) {
    if (!item.first.ends_with(ending)) continue;
    DS_CHECK(found.empty(), "has '{}' and '{}', expected one of them", found, item.first);
    found = item.first;
  }
  DS_CHECK(!found.empty(), "is a zip archive without an entry '...{}': torch.save did not write it", ending);
  return std::string(found);
}

Piece ZipArchive::content(std::string_view name) const {
  const auto found = entries_.find(name);
  DS_CHECK(found != entries_.end(), "has no entry '{}'", name);
  const Entry& entry = found->second;
  DS_CHECK((entry.flags & kEncrypted) == 0, "'{}' is encrypted", name);
  DS_CHECK(entry.method == 0 && entry.compressed == entry.size,
           "'{}' is compressed (method {}), expected it stored as torch.save does", name, entry.method);
  DS_CHECK(entry.offset <= directory_.offset, "'{}' is said to begin at byte {} of {}", name, entry.offset,
           directory_.offset);
  ByteReader local(bytes_.substr(entry.offset, directory_.offset - entry.offset), fmt::format("'{}'", name));
  DS_CHECK(local.number<uint32_t>() == kLocalHeader, "{}: has no header at byte {}", local.where(),
           entry.offset);
  local.take(22);  // what the list of entries says, too
  const auto name_bytes = local.number<uint16_t>();
  const auto extra_bytes = local.number<uint16_t>();
  DS_CHECK(local.take(name_bytes) == name, "{}: its header has another name", local.where());
  local.take(extra_bytes);
  return {.bytes = local.take(entry.size), .crc = entry.crc};
}

}  // namespace ds::torch_file
