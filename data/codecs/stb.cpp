#include "data/codecs/stb.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "data/codecs/size_check.h"

#define STB_IMAGE_STATIC
#ifndef __clang_analyzer__  // the linter would follow its callbacks into it
#define STB_IMAGE_IMPLEMENTATION
#endif
#define STBI_FAILURE_USERMSG
#define STBI_NO_STDIO
#include <stb_image.h>

namespace ds::codecs {
namespace {

// Deflate and LZW encode up to about 1032 bytes in one, and a byte is up to 8 pixels (PNG of 1 bit).
constexpr int64_t kPixelsPerByte = 8 * 1032;

/// Hands bytes to stb_image, and notes when it asks for more than there are: several of its readers would go
/// on with zeros.
class Source {
 public:
  explicit Source(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool overrun() const { return overrun_; }

  static int read(void* self, char* target, int size) {
    return static_cast<Source*>(self)->read(target, size);
  }
  static void skip(void* self, int count) { static_cast<Source*>(self)->skip(count); }
  static int at_end(void* self) { return static_cast<Source*>(self)->bytes_.empty() ? 1 : 0; }

 private:
  int read(char* target, int size) {
    // Its first request fills its buffer, a fixed place; such reads ahead may be short, others may not.
    if (buffer_ == nullptr) buffer_ = target;
    const size_t count = std::min(bytes_.size(), static_cast<size_t>(size));
    overrun_ |= target == buffer_ ? count == 0 : count < static_cast<size_t>(size);
    if (count > 0) std::memcpy(target, bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return static_cast<int>(count);
  }

  void skip(int count) {
    overrun_ |= count < 0 || static_cast<size_t>(count) > bytes_.size();
    bytes_ = bytes_.subspan(std::min(bytes_.size(), static_cast<size_t>(std::max(count, 0))));
  }

  std::span<const uint8_t> bytes_;
  const char* buffer_ = nullptr;
  bool overrun_ = false;
};

struct StbDeleter {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

}  // namespace

Size2d stb_size(std::span<const uint8_t> bytes, const std::string& name) {
  DS_CHECK(bytes.size() <= INT_MAX, "[decode_image] {}: {} bytes, expected less than 2 GiB", name,
           bytes.size());
  int width = 0;
  int height = 0;
  int channels = 0;
  const int known =
      stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels);
  DS_CHECK(known != 0, "[decode_image] {}: {}", name, stbi_failure_reason());
  check_image_size({height, width}, bytes.size(), kPixelsPerByte, name);
  // It would take the bytes of the samples for samples, and read beyond them.
  const bool deep = stbi_is_16_bit_from_memory(bytes.data(), static_cast<int>(bytes.size())) != 0;
  DS_CHECK(!(deep && bytes[0] == 'P'), "[decode_image] {}: PNM of 16 bits, expected at most 8", name);
  return {height, width};
}

Image decode_stb(std::span<const uint8_t> bytes, const std::string& name) {
  constexpr stbi_io_callbacks kCallbacks = {Source::read, Source::skip, Source::at_end};
  constexpr int kRgb = 3;
  const Size2d size = stb_size(bytes, name);
  Source source(bytes);
  int width = 0;
  int height = 0;
  int channels = 0;
  const std::unique_ptr<stbi_uc, StbDeleter> pixels(
      stbi_load_from_callbacks(&kCallbacks, &source, &width, &height, &channels, kRgb));
  DS_CHECK(pixels != nullptr, "[decode_image] {}: {}", name, stbi_failure_reason());
  DS_CHECK(!source.overrun(), "[decode_image] {}: the file is truncated", name);
  DS_CHECK(size == Size2d(height, width), "[decode_image] {}: {} x {} pixels, but its header says {} x {}",
           name, height, width, size.height, size.width);
  Image image{.height = height, .width = width, .pixels = {}};
  image.pixels.assign(pixels.get(), pixels.get() + size.height * size.width * kRgb);
  return image;
}

}  // namespace ds::codecs
