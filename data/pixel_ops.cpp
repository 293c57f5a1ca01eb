#include "data/pixel_ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace ds {
namespace {

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<int64_t, 256>;

constexpr int64_t kRgb = 3;

void check(ImageView image, const char* operation) {
  DS_CHECK(image.channels == kRgb, "[{}] an image of {} channels, expected 3", operation, image.channels);
}

int64_t pixels_of(ImageView image) { return image.height * image.width; }

/// Rounded to f32 after each step, whether or not the processor fuses them.
uint8_t blend(int from, int to, float factor) {
  const auto step = static_cast<float>(double{factor} * (to - from));
  const auto sum = static_cast<float>(from + double{step});
  return static_cast<uint8_t>(std::clamp(sum, 0.0F, 255.0F));
}

int grey(const uint8_t* rgb) { return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16; }

template <class Function>
Table table_of(Function function) {
  Table table;
  for (int value = 0; value < 256; ++value) table[static_cast<size_t>(value)] = function(value);
  return table;
}

/// The same table for all channels.
void look_up(ImageView image, const Table& table) {
  for (int64_t i = 0; i < pixels_of(image) * kRgb; ++i) image.pixels[i] = table[image.pixels[i]];
}

/// One table a channel, made from its histogram.
template <class MakeTable>
void look_up_by_histogram(ImageView image, MakeTable make_table) {
  for (int64_t channel = 0; channel < kRgb; ++channel) {
    uint8_t* values = image.pixels + channel;
    Histogram counts{};
    for (int64_t i = 0; i < pixels_of(image); ++i) ++counts[values[i * kRgb]];
    const Table table = make_table(counts);
    for (int64_t i = 0; i < pixels_of(image); ++i) values[i * kRgb] = table[values[i * kRgb]];
  }
}

struct Hsv {
  uint8_t h = 0;
  uint8_t s = 0;
  uint8_t v = 0;
};

uint8_t to_u8(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); }

/// In Pillow's mixture of f32 and f64, which decides about the last bit.
Hsv to_hsv(const uint8_t* rgb) {
  const auto [least, most] = std::minmax({rgb[0], rgb[1], rgb[2]});
  if (least == most) return {.v = most};
  const auto range = static_cast<float>(most - least);
  const float r = static_cast<float>(most - rgb[0]) / range;
  const float g = static_cast<float>(most - rgb[1]) / range;
  const float b = static_cast<float>(most - rgb[2]) / range;
  float h = 0.0F;
  if (rgb[0] == most) {
    h = b - g;
  } else if (rgb[1] == most) {
    h = static_cast<float>(2.0 + r - b);
  } else {
    h = static_cast<float>(4.0 + g - r);
  }
  h = static_cast<float>(std::fmod(h / 6.0 + 1.0, 1.0));
  const float s = range / static_cast<float>(most);
  return {.h = to_u8(h * 255.0), .s = to_u8(s * 255.0), .v = most};
}

void to_rgb(const Hsv& hsv, uint8_t* rgb) {
  const double sextants = static_cast<double>(static_cast<float>(hsv.h)) * 6.0 / 255.0;
  const int sextant = static_cast<int>(sextants);
  const double f = static_cast<float>(sextants - sextant);
  const double s = static_cast<float>(hsv.s / 255.0);
  const uint8_t v = hsv.v;
  const uint8_t p = to_u8(std::round(v * (1.0 - s)));
  const uint8_t q = to_u8(std::round(v * (1.0 - static_cast<double>(static_cast<float>(s * f)))));
  const uint8_t t = to_u8(std::round(v * (1.0 - s * (1.0 - f))));
  const std::array<std::array<uint8_t, 3>, 6> colours = {
      {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}}};
  std::ranges::copy(colours[static_cast<size_t>(sextant % 6)], rgb);
}

}  // namespace

void adjust_brightness(ImageView image, double factor) {
  check(image, "adjust_brightness");
  look_up(image, table_of([&](int value) { return blend(0, value, static_cast<float>(factor)); }));
}

void adjust_contrast(ImageView image, double factor) {
  check(image, "adjust_contrast");
  int64_t sum = 0;
  for (int64_t i = 0; i < pixels_of(image); ++i) sum += grey(image.pixels + i * kRgb);
  const double mean = std::floor(static_cast<double>(sum) / static_cast<double>(pixels_of(image)) + 0.5);
  const int from = static_cast<int>(mean);
  look_up(image, table_of([&](int value) { return blend(from, value, static_cast<float>(factor)); }));
}

void adjust_saturation(ImageView image, double factor) {
  check(image, "adjust_saturation");
  for (int64_t i = 0; i < pixels_of(image); ++i) {
    uint8_t* rgb = image.pixels + i * kRgb;
    const int from = grey(rgb);
    for (int c = 0; c < kRgb; ++c) rgb[c] = blend(from, rgb[c], static_cast<float>(factor));
  }
}

void adjust_sharpness(ImageView image, double factor) {
  check(image, "adjust_sharpness");
  const int64_t row = image.width * kRgb;
  const std::vector<uint8_t> original(image.pixels, image.pixels + image.height * row);
  for (int64_t y = 1; y < image.height - 1; ++y) {
    for (int64_t i = kRgb; i < row - kRgb; ++i) {
      const uint8_t* at = original.data() + y * row + i;
      int sum = 4 * at[0];
      for (const int64_t line : {-row, int64_t{0}, row}) sum += at[line - kRgb] + at[line] + at[line + kRgb];
      image.pixels[y * row + i] = blend((2 * sum + 13) / 26, at[0], static_cast<float>(factor));
    }
  }
}

void adjust_hue(ImageView image, double turn) {
  check(image, "adjust_hue");
  DS_CHECK(-0.5 <= turn && turn <= 0.5, "[adjust_hue] by {}, expected one in [-0.5, 0.5]", turn);
  const int steps = static_cast<int>(turn * 255.0);
  for (int64_t i = 0; i < pixels_of(image); ++i) {
    Hsv hsv = to_hsv(image.pixels + i * kRgb);
    hsv.h = static_cast<uint8_t>(hsv.h + steps);
    to_rgb(hsv, image.pixels + i * kRgb);
  }
}

void posterize(ImageView image, int bits) {
  check(image, "posterize");
  DS_CHECK(0 <= bits && bits <= 8, "[posterize] to {} bits, expected 0 to 8", bits);
  look_up(image,
          table_of([&](int value) { return static_cast<uint8_t>(value >> (8 - bits) << (8 - bits)); }));
}

void solarize(ImageView image, double threshold) {
  check(image, "solarize");
  look_up(image,
          table_of([&](int value) { return static_cast<uint8_t>(value < threshold ? value : 255 - value); }));
}

void autocontrast(ImageView image) {
  check(image, "autocontrast");
  look_up_by_histogram(image, [](const Histogram& counts) {
    const auto occurs = [](int64_t count) { return count > 0; };
    const auto low = static_cast<int>(std::ranges::find_if(counts, occurs) - counts.begin());
    const auto high =
        255 - static_cast<int>(std::find_if(counts.rbegin(), counts.rend(), occurs) - counts.rbegin());
    if (high <= low) return table_of([](int value) { return static_cast<uint8_t>(value); });
    const double scale = 255.0 / (high - low);
    const double offset = -low * scale;
    return table_of(
        [=](int value) { return to_u8(static_cast<double>(static_cast<int>(value * scale + offset))); });
  });
}

void equalize(ImageView image) {
  check(image, "equalize");
  look_up_by_histogram(image, [](const Histogram& counts) {
    const auto last = std::find_if(counts.rbegin(), counts.rend(), [](int64_t count) { return count > 0; });
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    const int64_t step = last == counts.rend() ? 0 : (total - *last) / 255;
    if (step == 0) return table_of([](int value) { return static_cast<uint8_t>(value); });
    int64_t below = step / 2;
    return table_of([&](int value) {
      const auto level = static_cast<uint8_t>(std::min<int64_t>(below / step, 255));
      below += counts[static_cast<size_t>(value)];
      return level;
    });
  });
}

void affine(ImageView image, const std::array<double, 6>& matrix) {
  check(image, "affine");
  constexpr int kFraction = 16;
  DS_CHECK(std::max(image.height, image.width) < 1 << 15,
           "[affine] an image of {} x {}, expected sides below 32768", image.height, image.width);
  const auto fixed = [](double value) {
    return static_cast<int64_t>(std::floor(std::ldexp(value, kFraction) + 0.5));
  };
  const auto [m0, m1, m2, m3, m4, m5] = matrix;
  const int64_t row = image.width * kRgb;
  const std::vector<uint8_t> original(image.pixels, image.pixels + image.height * row);
  std::fill_n(image.pixels, image.height * row, uint8_t{0});
  const int64_t start_x = fixed(m2 + m0 * 0.5 + m1 * 0.5);
  const int64_t start_y = fixed(m5 + m3 * 0.5 + m4 * 0.5);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const int64_t from_x = (start_x + x * fixed(m0) + y * fixed(m1)) >> kFraction;
      const int64_t from_y = (start_y + x * fixed(m3) + y * fixed(m4)) >> kFraction;
      if (from_x < 0 || from_x >= image.width || from_y < 0 || from_y >= image.height) continue;
      std::copy_n(original.data() + from_y * row + from_x * kRgb, kRgb, image.pixels + y * row + x * kRgb);
    }
  }
}

}  // namespace ds
