// The zip container that torch.save writes (PKWARE's APPNOTE 6.3.10, 4.3 and 4.5.3), read in place.
//
// torch.save stores entries without compression, so each is a piece of the file, and nothing is copied. Sizes
// may be those of the 64-bit extension. A library would hand out copies, and would be one more package that
// every program built on this one needs. Throws Error that names the entry; the file is for the caller to
// name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace ds::torch_file {

/// Bytes of the file, and their CRC-32 where the container has one.
struct Piece {
  std::string_view bytes;
  uint32_t crc = 0;
};
/// Throws Error naming what it is unless the bytes have that CRC-32.
void check_crc(const Piece& piece, std::string_view what);

class ZipArchive {
 public:
  /// `bytes` are the whole file. Reads the list of entries.
  explicit ZipArchive(std::string_view bytes);

  /// The name of the only entry that ends so. Throws Error when there is none, or more than one.
  std::string only_entry(std::string_view ending) const;
  bool contains(std::string_view name) const { return entries_.contains(name); }
  /// The content of an entry; its CRC is not looked at. Throws Error when it is compressed or encrypted, or
  /// not within the file.
  Piece content(std::string_view name) const;

 private:
  struct Directory {  // where the entries are listed
    uint64_t entries = 0;
    uint64_t bytes = 0;
    uint64_t offset = 0;
  };
  struct Entry {
    uint16_t flags = 0;
    uint16_t method = 0;
    uint32_t crc = 0;
    uint64_t compressed = 0;  // bytes
    uint64_t size = 0;
    uint64_t offset = 0;  // of the local header
  };
  Directory find_directory() const;
  void read_directory();

  std::string_view bytes_;
  Directory directory_;
  std::map<std::string_view, Entry> entries_;
};

}  // namespace ds::torch_file
