#include "data/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace ds {
namespace {

constexpr int kPrecision = 22;  // fraction bits of the weights
constexpr int32_t kHalf = 1 << (kPrecision - 1);

/// Halves upwards.
int64_t rounded(double value) { return static_cast<int64_t>(std::floor(value + 0.5)); }

/// Which inputs make an output, and with what weights.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;

  int64_t end() const { return first + static_cast<int64_t>(weights.size()); }
};

/// One axis: `count` outputs from the inputs [start, start + length) of `size`.
struct Axis {
  int64_t size;
  int64_t start;
  int64_t length;
  int64_t count;
};

/// Those of the outputs [begin, end) of an axis, in order.
std::vector<Taps> make_taps(const Axis& axis, int64_t begin, int64_t end) {
  const auto& [size, start, length, count] = axis;
  const double scale = static_cast<double>(length) / static_cast<double>(count);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(end - begin));
  std::vector<double> weights;
  for (int64_t i = 0; i < end - begin; ++i) {
    const double center = static_cast<double>(start) + (static_cast<double>(begin + i) + 0.5) * scale;
    const auto first = std::max<int64_t>(rounded(center - support), 0);
    const auto last = std::min<int64_t>(rounded(center + support), size);
    weights.clear();
    double sum = 0.0;
    for (int64_t x = first; x < last; ++x) {
      const double distance = std::abs((static_cast<double>(x) - center + 0.5) * (1.0 / support));
      weights.push_back(std::max(0.0, 1.0 - distance));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    for (const double weight : weights) {
      tap.weights.push_back(static_cast<int32_t>(rounded(weight / sum * (1 << kPrecision))));
    }
  }
  return taps;
}

// Both passes take weighted means of vectors of bytes; loops over so many lanes become vector instructions.
constexpr int64_t kRows = 8;  // the horizontal pass takes at once, each pixel of each in four lanes
constexpr int64_t kLanes = 4 * kRows;
using Lanes = std::array<uint8_t, kLanes>;

/// The weighted mean of the lanes at source, source + stride, ...
Lanes weighted_mean(const uint8_t* source, int64_t stride, const Taps& taps) {
  std::array<int32_t, kLanes> sums;
  sums.fill(kHalf);
  for (const int32_t weight : taps.weights) {
    for (size_t i = 0; i < kLanes; ++i) sums[i] += weight * source[i];
    source += stride;
  }
  Lanes mean;
  for (size_t i = 0; i < kLanes; ++i) mean[i] = static_cast<uint8_t>(std::min(sums[i] >> kPrecision, 255));
  return mean;
}

/// Up to kRows rows of a part side by side: pixel x of row r becomes lanes 4 r to 4 r + 2 of vector x. The
/// fourth lane is of no use, it is there so that a pixel is moved as one word.
void interleave(const Image& image, const Box& part, uint8_t* vectors) {
  const int64_t last = part.width - 1;
  for (int64_t r = 0; r < part.height; ++r) {
    const uint8_t* row = image.pixels.data() + ((part.top + r) * image.width + part.left) * 3;
    uint8_t* target = vectors + 4 * r;
    for (int64_t x = 0; x < last; ++x) std::memcpy(target + x * kLanes, row + x * 3, 4);
    std::memcpy(target + last * kLanes, row + last * 3, 3);  // nothing may follow the last pixel
  }
}

/// How outputs are made, by axis.
struct Resampling {
  std::vector<Taps> rows;
  std::vector<Taps> columns;

  /// The inputs that take part.
  Box inputs() const {
    const int64_t top = rows.front().first;
    const int64_t left = columns.front().first;
    return {top, left, rows.back().end() - top, columns.back().end() - left};
  }
};

Resampling make_resampling(Size2d image, Size2d size, const Box& box) {
  return {.rows = make_taps({image.height, box.top, box.height, size.height}, 0, size.height),
          .columns = make_taps({image.width, box.left, box.width, size.width}, 0, size.width)};
}

/// The horizontal pass on a part. Results are `stride` bytes apart, more than the pixels take.
std::vector<uint8_t> resize_rows(const Image& image, const Box& part, const std::vector<Taps>& columns,
                                 int64_t stride) {
  std::vector<uint8_t> result(static_cast<size_t>(part.height * stride));
  std::vector<uint8_t> vectors(static_cast<size_t>(part.width * kLanes));
  for (int64_t y = 0; y < part.height; y += kRows) {
    const Box rows{part.top + y, part.left, std::min(kRows, part.height - y), part.width};
    interleave(image, rows, vectors.data());
    uint8_t* target = result.data() + y * stride;
    for (const Taps& taps : columns) {
      const int64_t first = taps.first - columns.front().first;
      const Lanes pixels = weighted_mean(vectors.data() + first * kLanes, kLanes, taps);
      for (int64_t r = 0; r < rows.height; ++r) std::memcpy(target + r * stride, pixels.data() + 4 * r, 4);
      target += 3;  // the next pixel takes the place of the fourth lane
    }
  }
  return result;
}

/// The vertical pass for one row of `bytes`.
void resize_columns(const uint8_t* source, int64_t stride, const Taps& taps, uint8_t* target, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kLanes) {
    const Lanes mean = weighted_mean(source + i, stride, taps);
    std::memcpy(target + i, mean.data(), static_cast<size_t>(std::min(kLanes, bytes - i)));
  }
}

/// `part` are the resampling's inputs within the image.
Image resample(const Image& image, const Box& part, const Resampling& resampling) {
  const auto& [rows, columns] = resampling;
  const auto height = static_cast<int64_t>(rows.size());
  const auto width = static_cast<int64_t>(columns.size());
  const int64_t bytes = width * 3;
  const int64_t stride =
      (bytes / kLanes + 1) * kLanes;  // whole vectors, and at least a byte more than the pixels
  const std::vector<uint8_t> narrowed = resize_rows(image, part, columns, stride);
  Image result{.height = height, .width = width, .pixels = {}};
  result.pixels.resize(static_cast<size_t>(height * bytes));
  for (int64_t y = 0; y < height; ++y) {
    const Taps& taps = rows[static_cast<size_t>(y)];
    resize_columns(narrowed.data() + (taps.first - rows.front().first) * stride, stride, taps,
                   result.pixels.data() + y * bytes, bytes);
  }
  return result;
}

Size2d resized(Size2d image, int64_t shorter_side) {
  DS_CHECK(image.height >= 1 && image.width >= 1, "[resize_shorter_side] an empty image");
  const auto [shorter, longer] = std::minmax(image.height, image.width);
  const int64_t other = shorter_side * longer / shorter;
  return image.height <= image.width ? Size2d{shorter_side, other} : Size2d{other, shorter_side};
}

/// Where a square of `size` begins in the middle of an axis; below 0 where it is padded.
int64_t centered(int64_t length, int64_t size) {
  const int64_t border = length - size;
  return border >= 0 ? static_cast<int64_t>(std::nearbyint(static_cast<double>(border) / 2.0))
                     : -(-border / 2);
}

/// Those of the middle `size` outputs of an axis that is resized from `length` to `count`.
std::vector<Taps> middle_taps(int64_t length, int64_t count, int64_t size) {
  const int64_t first = centered(count, size);
  return make_taps({.size = length, .start = 0, .length = length, .count = count}, first, first + size);
}

/// What resize_shorter_side and center_crop leave, and no more: of a narrow image that were very much.
Resampling make_centered(Size2d image, int64_t shorter_side, int64_t size) {
  DS_CHECK(1 <= size && size <= shorter_side, "[resize_center] {} pixels of {}, expected 1 <= size <= side",
           size, shorter_side);
  const Size2d all = resized(image, shorter_side);
  return {.rows = middle_taps(image.height, all.height, size),
          .columns = middle_taps(image.width, all.width, size)};
}

}  // namespace

Image resize(const Image& image, Size2d size) {
  return resize(image, size, {0, 0, image.height, image.width});
}

Image resize(const Image& image, Size2d size, const Box& box) {
  DS_CHECK(size.height >= 1 && size.width >= 1, "[resize] to {} x {}, expected at least 1 x 1", size.height,
           size.width);
  check_box(box, {image.height, image.width}, "[resize]");
  const Resampling resampling = make_resampling({image.height, image.width}, size, box);
  return resample(image, resampling.inputs(), resampling);
}

Image resize_center(const Image& image, int64_t shorter_side, int64_t size) {
  const Resampling resampling = make_centered({image.height, image.width}, shorter_side, size);
  return resample(image, resampling.inputs(), resampling);
}

Image decode_resized_center(std::span<const uint8_t> bytes, const std::string& name, int64_t shorter_side,
                            int64_t size) {
  const Resampling resampling = make_centered(image_size(bytes, name), shorter_side, size);
  const Image part = decode_image(bytes, name, {.box = resampling.inputs()});
  return resample(part, {0, 0, part.height, part.width}, resampling);
}

Image resize_shorter_side(const Image& image, int64_t size) {
  return resize(image, resized({image.height, image.width}, size));
}

Image center_crop(const Image& image, int64_t size) {
  DS_CHECK(size >= 1, "[center_crop] to {}, expected at least 1", size);
  const int64_t top = centered(image.height, size);
  const int64_t left = centered(image.width, size);
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
