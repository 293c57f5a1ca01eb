#include "data/codecs/jpeg.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
// after <cstdio>, which it needs
#include <jpeglib.h>
// after jpeglib.h
#include <jerror.h>

#include "core/error.h"
#include "data/codecs/size_check.h"

namespace ds::codecs {
namespace {

// A block of 8x8 samples takes a bit or more, and one of grey is 64 pixels: 512 a byte, and as much again.
constexpr int64_t kPixelsPerByte = 1024;

/// libjpeg's error manager, and what it needs to leave a failed call.
struct ErrorManager {
  jpeg_error_mgr base;  // first: libjpeg knows its address as that of the whole
  std::jmp_buf jump;
  std::array<char, JMSG_LENGTH_MAX> message;
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* manager = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, manager->message.data());
  std::longjmp(manager->jump, 1);
}

/// Warnings (level -1) mean missing or wrong pixels, but for these: the image before them is whole.
void on_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
  if (level < 0 && !harmless) leave(info);
}

/// A decompressor whose errors are thrown.
class Decompressor {
 public:
  Decompressor(std::span<const uint8_t> bytes, const std::string& name) : Decompressor(name) {
    run([&] {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, bytes.data(), bytes.size());
      jpeg_read_header(&info_, TRUE);
    });
    check_image_size({info_.image_height, info_.image_width}, bytes.size(), kPixelsPerByte, name);
  }
  ~Decompressor() { jpeg_destroy_decompress(&info_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  jpeg_decompress_struct& info() { return info_; }

  /// Calls libjpeg. What `step` and its callees hold must need no destructor: an error jumps over them.
  template <class Step>
  void run(Step step) {
    if (!completes(step)) fail("[decode_image] {}: {}", name_, errors_.message.data());
  }

 private:
  /// On its own, so that what the other allocates is freed when it throws.
  explicit Decompressor(const std::string& name) : name_(name) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = leave;
    errors_.base.emit_message = on_message;
  }

  template <class Step>
  bool completes(const Step& step) {
    if (setjmp(errors_.jump) != 0) return false;
    step();
    return true;
  }

  const std::string& name_;
  ErrorManager errors_ = {};
  jpeg_decompress_struct info_ = {};
};

/// The largest of 1, 2, 4 and 8 by which the shorter side of a part may be divided.
int64_t divisor_for(int64_t shorter_side, int64_t least_side) {
  int64_t divisor = 1;
  while (least_side > 0 && divisor < 8 && shorter_side / (2 * divisor) >= least_side) divisor *= 2;
  return divisor;
}

/// The pixels, at 1/divisor of the size, that cover the box.
Box scaled_box(const Box& box, int64_t divisor) {
  const int64_t top = box.top / divisor;
  const int64_t left = box.left / divisor;
  return {top, left, (box.top + box.height + divisor - 1) / divisor - top,
          (box.left + box.width + divisor - 1) / divisor - left};
}

/// As Pillow converts inverted CMYK: x k / 255, rounded.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, int64_t count) {
  for (int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const int k = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * k + 128;
      rgb[c] = static_cast<uint8_t>(k - ((product + (product >> 8)) >> 8));
    }
  }
}

/// Chooses the colours and the size, and starts: `box` becomes one of the scaled image.
void start(Decompressor& decompressor, Box& box, int64_t divisor) {
  jpeg_decompress_struct& info = decompressor.info();
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  info.scale_num = 1;
  info.scale_denom = static_cast<unsigned>(divisor);
  box = scaled_box(box, divisor);
  decompressor.run([&] { jpeg_start_decompress(&info); });
}

/// Has the decompressor leave out columns left and right of the box, and returns the first that it keeps. One
/// more on each side is kept, since colours are interpolated between neighbours, and no fewer than the
/// interpolation of chroma at 1/4 can work on: libjpeg does not check.
int64_t crop_columns(Decompressor& decompressor, const Box& box) {
  constexpr int64_t kLeastColumns = 32;
  jpeg_decompress_struct& info = decompressor.info();
  const int64_t width = info.output_width;
  const int64_t left = std::clamp<int64_t>(box.left - 1, 0, std::max<int64_t>(width - kLeastColumns, 0));
  const int64_t right = std::min(std::max(box.left + box.width + 1, left + kLeastColumns), width);
  auto first = static_cast<JDIMENSION>(left);
  auto count = static_cast<JDIMENSION>(right - left);
  decompressor.run([&] { jpeg_crop_scanline(&info, &first, &count); });
  return first;
}

}  // namespace

bool has_libjpeg() { return true; }

Size2d jpeg_size(std::span<const uint8_t> bytes, const std::string& name) {
  Decompressor decompressor(bytes, name);
  return {decompressor.info().image_height, decompressor.info().image_width};
}

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  Decompressor decompressor(bytes, name);
  jpeg_decompress_struct& info = decompressor.info();
  Box box = options.box.value_or(Box{0, 0, info.image_height, info.image_width});
  start(decompressor, box, divisor_for(std::min(box.height, box.width), options.least_side));
  const int64_t first = crop_columns(decompressor, box);
  Image image{.height = box.height, .width = box.width, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(box.height * box.width * 3));
  std::vector<uint8_t> row(static_cast<size_t>(info.output_width) * info.output_components);
  const uint8_t* source = row.data() + (box.left - first) * info.output_components;
  decompressor.run([&] {
    jpeg_skip_scanlines(&info, static_cast<JDIMENSION>(box.top));
    for (int64_t y = 0; y < box.height; ++y) {
      JSAMPROW target = row.data();
      jpeg_read_scanlines(&info, &target, 1);
      uint8_t* rgb = image.pixels.data() + y * box.width * 3;
      if (info.output_components == 4) {
        cmyk_to_rgb(source, rgb, box.width);
      } else {
        std::memcpy(rgb, source, static_cast<size_t>(box.width) * 3);
      }
    }
  });
  return image;
}

}  // namespace ds::codecs
