#include "data/image.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "data/codecs/jpeg.h"
#include "data/codecs/orientation.h"
#include "data/codecs/stb.h"

namespace ds {
namespace {

/// Whether the start-of-image marker is first; fill bytes may stand before its second byte.
bool is_jpeg(std::span<const uint8_t> bytes) {
  const auto code = std::ranges::find_if(bytes, [](uint8_t byte) { return byte != 0xFF; });
  return code != bytes.begin() && code != bytes.end() && *code == 0xD8;
}

Image decode_upright_jpeg(std::span<const uint8_t> bytes, const std::string& name,
                          const DecodeOptions& options) {
  const codecs::Orientation orientation = codecs::exif_orientation(bytes);
  DecodeOptions stored = options;
  if (options.box) {
    const Size2d size = codecs::jpeg_size(bytes, name);
    check_box(*options.box, upright(size, orientation), "[decode_image] " + name + ":");
    stored.box = stored_box(*options.box, size, orientation);
  }
  return upright(codecs::decode_jpeg(bytes, name, stored), orientation);
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  if (is_jpeg(bytes)) return decode_upright_jpeg(bytes, name, options);
  Image image = codecs::decode_stb(bytes, name);
  if (!options.box) return image;
  check_box(*options.box, {image.height, image.width}, "[decode_image] " + name + ":");
  return crop(image, *options.box);
}

Image read_image(const std::string& path, const DecodeOptions& options) {
  return decode_image(read_bytes(path), path, options);
}

Size2d image_size(std::span<const uint8_t> bytes, const std::string& name) {
  if (!is_jpeg(bytes)) return codecs::stb_size(bytes, name);
  return upright(codecs::jpeg_size(bytes, name), codecs::exif_orientation(bytes));
}

std::vector<uint8_t> read_bytes(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  DS_CHECK(!error, "[read_bytes] {}: {}", path, error.message());
  std::ifstream file(path, std::ios::binary);
  DS_CHECK(file.good(), "[read_bytes] {}: cannot be opened", path);
  std::vector<uint8_t> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  DS_CHECK(file.gcount() == static_cast<std::streamsize>(size), "[read_bytes] {}: ends after {} of {} bytes",
           path, file.gcount(), size);
  return bytes;
}

void check_box(const Box& box, Size2d size, const std::string& where) {
  const bool within = box.height >= 1 && box.width >= 1 && box.top >= 0 && box.left >= 0 &&
                      box.top <= size.height - box.height && box.left <= size.width - box.width;
  DS_CHECK(within, "{} a box of {} x {} at ({}, {}), expected one within {} x {}", where, box.height,
           box.width, box.top, box.left, size.height, size.width);
}

Image crop(const Image& image, const Box& box) {
  check_box(box, {image.height, image.width}, "[crop]");
  const auto row = static_cast<size_t>(box.width * 3);
  Image part{.height = box.height, .width = box.width, .pixels = {}};
  part.pixels.resize(static_cast<size_t>(box.height) * row);
  for (int64_t y = 0; y < box.height; ++y) {
    std::memcpy(part.pixels.data() + static_cast<size_t>(y) * row,
                image.pixels.data() + ((box.top + y) * image.width + box.left) * 3, row);
  }
  return part;
}

}  // namespace ds
