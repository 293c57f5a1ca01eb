#include "data/codecs/jpeg.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "data/codecs/stb.h"

namespace ds::codecs {
namespace {

constexpr uint8_t kHuffmanTables = 0xC4;
constexpr uint8_t kStartOfScan = 0xDA;
constexpr uint8_t kFill = 0xFF;

int64_t length_at(std::span<const uint8_t> bytes, size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

/// Whether each table in the segment whose length stands at `at` has the 256 codes at most that a byte can
/// name.
bool sane_tables(std::span<const uint8_t> bytes, size_t at) {
  constexpr size_t kHead = 17;  // the table's place, and how many codes there are of each length
  int64_t left = length_at(bytes, at) - 2;
  for (at += 2; left > 0 && at < bytes.size();) {
    const std::span<const uint8_t> head = bytes.subspan(at, std::min(kHead, bytes.size() - at));
    const size_t codes = std::accumulate(head.begin() + 1, head.end(), size_t{0});
    if (codes > 256) return false;
    at += kHead + codes;
    left -= static_cast<int64_t>(kHead + codes);
  }
  return true;
}

/// stb_image writes beyond its tables otherwise. Before the first scan segment follows segment; from there
/// on, or from where that fails, a table is taken to begin wherever its marker occurs.
void check_tables(std::span<const uint8_t> bytes, const std::string& name) {
  bool header = true;
  for (size_t at = 2; at + 4 <= bytes.size();) {
    const uint8_t marker = bytes[at + 1];
    const bool is_marker = bytes[at] == 0xFF;
    header = header && is_marker && marker != kStartOfScan;
    if (is_marker && marker == kHuffmanTables) {
      DS_CHECK(sane_tables(bytes, at + 2), "[decode_image] {}: a Huffman table of more than 256 codes", name);
    }
    at += header && marker != kFill ? 2 + static_cast<size_t>(length_at(bytes, at + 2)) : 1;
  }
}

}  // namespace

bool has_libjpeg() { return false; }

Size2d jpeg_size(std::span<const uint8_t> bytes, const std::string& name) {
  check_tables(bytes, name);
  return stb_size(bytes, name);
}

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  check_tables(bytes, name);
  Image image = decode_stb(bytes, name);
  return options.box ? crop(image, *options.box) : image;
}

}  // namespace ds::codecs
