#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace ds {
namespace {

constexpr int kPrecision = 22;  // fraction bits of the weights
constexpr int32_t kHalf = 1 << (kPrecision - 1);

/// Which inputs make an output, and with what weights.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

/// Those of one axis: `count` outputs from the inputs [start, start + length) of `size`.
std::vector<Taps> make_taps(int64_t size, int64_t start, int64_t length, int64_t count) {
  const double scale = static_cast<double>(length) / static_cast<double>(count);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(count));
  std::vector<double> weights;
  for (int64_t i = 0; i < count; ++i) {
    const double center = static_cast<double>(start) + (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), size);
    weights.clear();
    double sum = 0.0;
    for (int64_t x = first; x < end; ++x) {
      const double distance = std::abs((static_cast<double>(x) - center + 0.5) * (1.0 / support));
      weights.push_back(std::max(0.0, 1.0 - distance));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    for (const double weight : weights) {
      tap.weights.push_back(static_cast<int32_t>(0.5 + weight / sum * (1 << kPrecision)));
    }
  }
  return taps;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255)); }

void resize_row(const uint8_t* row, uint8_t* target, const std::vector<Taps>& columns) {
  for (const Taps& taps : columns) {
    const uint8_t* source = row + taps.first * 3;
    int32_t r = kHalf;
    int32_t g = kHalf;
    int32_t b = kHalf;
    for (const int32_t weight : taps.weights) {
      r += weight * source[0];
      g += weight * source[1];
      b += weight * source[2];
      source += 3;
    }
    *target++ = rounded(r);
    *target++ = rounded(g);
    *target++ = rounded(b);
  }
}

/// One output row of `bytes` from the rows at `source`.
void resize_column(const uint8_t* source, uint8_t* target, int64_t bytes, const Taps& taps,
                   std::vector<int32_t>& sums) {
  std::ranges::fill(sums, kHalf);
  for (const int32_t weight : taps.weights) {
    for (int64_t i = 0; i < bytes; ++i) sums[static_cast<size_t>(i)] += weight * source[i];
    source += bytes;
  }
  for (int64_t i = 0; i < bytes; ++i) target[i] = rounded(sums[static_cast<size_t>(i)]);
}

}  // namespace

Image resize(const Image& image, Size2d size) {
  return resize(image, size, {0, 0, image.height, image.width});
}

Image resize(const Image& image, Size2d size, const Box& box) {
  DS_CHECK(size.height >= 1 && size.width >= 1, "[resize] to {} x {}, expected at least 1 x 1", size.height,
           size.width);
  check_box(box, {image.height, image.width}, "[resize]");
  const std::vector<Taps> columns = make_taps(image.width, box.left, box.width, size.width);
  const std::vector<Taps> rows = make_taps(image.height, box.top, box.height, size.height);
  const int64_t first = rows.front().first;
  const int64_t end = rows.back().first + static_cast<int64_t>(rows.back().weights.size());
  const int64_t bytes = size.width * 3;
  std::vector<uint8_t> narrowed(static_cast<size_t>((end - first) * bytes));
  for (int64_t y = first; y < end; ++y) {
    resize_row(image.pixels.data() + y * image.width * 3, narrowed.data() + (y - first) * bytes, columns);
  }
  Image result{.height = size.height, .width = size.width, .pixels = {}};
  result.pixels.resize(static_cast<size_t>(size.height * bytes));
  std::vector<int32_t> sums(static_cast<size_t>(bytes));
  for (int64_t y = 0; y < size.height; ++y) {
    const Taps& taps = rows[static_cast<size_t>(y)];
    resize_column(narrowed.data() + (taps.first - first) * bytes, result.pixels.data() + y * bytes, bytes,
                  taps, sums);
  }
  return result;
}

Image resize_shorter_side(const Image& image, int64_t size) {
  DS_CHECK(image.height >= 1 && image.width >= 1, "[resize_shorter_side] an empty image");
  const auto [shorter, longer] = std::minmax(image.height, image.width);
  const int64_t other = size * longer / shorter;
  return resize(image, image.height <= image.width ? Size2d{size, other} : Size2d{other, size});
}

Image center_crop(const Image& image, int64_t size) {
  DS_CHECK(size >= 1, "[center_crop] to {}, expected at least 1", size);
  const auto place = [size](int64_t length) {
    const int64_t border = length - size;
    return border >= 0 ? static_cast<int64_t>(std::nearbyint(static_cast<double>(border) / 2.0))
                       : -(-border / 2);
  };
  const int64_t top = place(image.height);
  const int64_t left = place(image.width);
  Image result{.height = size, .width = size, .pixels = {}};
  result.pixels.assign(static_cast<size_t>(size * size * 3), 0);
  const int64_t first = std::max<int64_t>(-left, 0);
  const int64_t count = std::min(size, image.width);
  for (int64_t y = std::max<int64_t>(-top, 0); y < size && top + y < image.height; ++y) {
    std::memcpy(result.pixels.data() + (y * size + first) * 3,
                image.pixels.data() + ((top + y) * image.width + left + first) * 3,
                static_cast<size_t>(count) * 3);
  }
  return result;
}

}  // namespace ds
