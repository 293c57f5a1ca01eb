#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"

namespace ds {
namespace {

/// Moves the image by whole pixels, in place: pixel (y, x) becomes what was at (y + down, x + right), zero
/// from outside.
void translate(ImageView image, int64_t down, int64_t right) {
  const int64_t row_bytes = image.width * image.channels;
  const int64_t kept = std::max<int64_t>(0, image.width - std::abs(right)) * image.channels;
  const int64_t skipped = std::min(row_bytes, std::abs(right) * image.channels);
  for (int64_t step = 0; step < image.height; ++step) {
    const int64_t y = down >= 0 ? step : image.height - 1 - step;  // sources are read before they are written
    uint8_t* target = image.pixels + y * row_bytes;
    const int64_t source_y = y + down;
    if (source_y < 0 || source_y >= image.height) {
      std::memset(target, 0, static_cast<size_t>(row_bytes));
      continue;
    }
    const uint8_t* source = image.pixels + source_y * row_bytes;
    std::memmove(right >= 0 ? target : target + skipped, right >= 0 ? source + skipped : source,
                 static_cast<size_t>(kept));
    std::memset(right >= 0 ? target + kept : target, 0, static_cast<size_t>(row_bytes - kept));
  }
}

/// Gamma(shape, 1) (Marsaglia & Tsang 2000).
double sample_gamma(double shape, Generator& generator) {
  if (shape < 1.0) {
    const double uniform = (static_cast<double>(generator.word()) + 0.5) * 0x1p-32;
    return sample_gamma(shape + 1.0, generator) * std::pow(uniform, 1.0 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = generator.normal();
    const double v = std::pow(1.0 + c * x, 3.0);
    const double uniform = (static_cast<double>(generator.word()) + 0.5) * 0x1p-32;
    if (v > 0.0 && std::log(uniform) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double sample_beta(double alpha, Generator& generator) {
  const double a = sample_gamma(alpha, generator);
  const double b = sample_gamma(alpha, generator);
  return a + b > 0.0 ? a / (a + b) : 1.0;  // both underflow for a tiny alpha
}

void check_labels(const Tensor& labels, int64_t classes, const char* operation) {
  for (const int64_t label : labels.span<int64_t>()) {
    DS_CHECK(0 <= label && label < classes, "[{}] label {}, expected one in [0, {})", operation, label,
             classes);
  }
}

std::vector<int64_t> random_partners(int64_t count, Generator& generator) {
  std::vector<int64_t> partner(static_cast<size_t>(count));
  std::iota(partner.begin(), partner.end(), 0);
  shuffle(partner, generator);
  return partner;
}

/// lambda of an image's own smoothed target, the rest of its partner's.
Tensor mixed_targets(const Tensor& labels, const std::vector<int64_t>& partner, float lambda,
                     const MixupOptions& options) {
  Tensor targets = Tensor::empty({labels.numel(), options.classes});
  std::ranges::fill(targets.span<float>(),
                    static_cast<float>(options.label_smoothing / static_cast<double>(options.classes)));
  const auto certain = static_cast<float>(1.0 - options.label_smoothing);
  const auto* label = labels.data<int64_t>();
  for (int64_t i = 0; i < labels.numel(); ++i) {
    float* row = targets.data<float>() + i * options.classes;
    row[label[i]] += certain * lambda;
    row[label[partner[static_cast<size_t>(i)]]] += certain * (1.0F - lambda);
  }
  return targets;
}

/// Positions [begin, end) along an axis.
struct Span {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

/// `share` of an axis, rounded down, around a uniform centre, clipped at its ends.
Span random_span(int64_t length, double share, Generator& generator) {
  const auto size = static_cast<int64_t>(share * static_cast<double>(length));
  const int64_t begin = int64_t{generator.below(static_cast<uint32_t>(length))} - size / 2;
  return {std::max<int64_t>(begin, 0), std::min(begin + size, length)};
}

}  // namespace

Transform random_crop(int64_t size, int64_t padding) {
  DS_CHECK(size >= 1 && padding >= 0, "[random_crop] size {} and padding {}, expected at least 1 and 0", size,
           padding);
  return [size, padding](ImageView image, Generator& generator) {
    DS_CHECK(image.height == size && image.width == size,
             "[random_crop] an image of {} x {}, expected {} x {}", image.height, image.width, size, size);
    const auto places = static_cast<uint32_t>(2 * padding + 1);
    const int64_t top = generator.below(places);
    const int64_t left = generator.below(places);
    translate(image, top - padding, left - padding);
  };
}

Transform random_flip(double p) {
  DS_CHECK(0.0 <= p && p <= 1.0, "[random_flip] probability {}, expected one in [0, 1]", p);
  return [p](ImageView image, Generator& generator) {
    if (!(static_cast<double>(generator.uniform()) < p)) return;
    for (int64_t y = 0; y < image.height; ++y) {
      uint8_t* left = image.pixels + y * image.width * image.channels;
      uint8_t* right = left + (image.width - 1) * image.channels;
      for (; left < right; left += image.channels, right -= image.channels) {
        std::swap_ranges(left, left + image.channels, right);
      }
    }
  };
}

Transform cutout(int64_t size) {
  DS_CHECK(size >= 0, "[cutout] size {}, expected at least 0", size);
  return [size](ImageView image, Generator& generator) {
    const int64_t top = int64_t{generator.below(static_cast<uint32_t>(image.height))} - size / 2;
    const int64_t left = int64_t{generator.below(static_cast<uint32_t>(image.width))} - size / 2;
    const int64_t first = std::max<int64_t>(left, 0);
    const int64_t count = std::min(left + size, image.width) - first;
    for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + size, image.height); ++y) {
      uint8_t* row = image.pixels + (y * image.width + first) * image.channels;
      std::memset(row, 0, static_cast<size_t>(std::max<int64_t>(count, 0) * image.channels));
    }
  };
}

double uniform(double low, double high, Generator& generator) {
  return low + (high - low) * static_cast<double>(generator.uniform());
}

void shuffle(std::span<int64_t> values, Generator& generator) {
  for (size_t last = values.size(); last > 1; --last) {
    std::swap(values[last - 1], values[generator.below(static_cast<uint32_t>(last))]);
  }
}

Tensor mixup(Tensor& images, const Tensor& labels, const MixupOptions& options, Generator& generator) {
  check_labels(labels, options.classes, "mixup");
  const auto lambda = static_cast<float>(sample_beta(options.alpha, generator));
  const std::vector<int64_t> partner = random_partners(labels.numel(), generator);
  const Tensor original = images.clone();
  const int64_t count = labels.numel();
  const int64_t pixels = count == 0 ? 0 : images.numel() / count;
  for (int64_t i = 0; i < count; ++i) {
    const float* first = original.data<float>() + i * pixels;
    const float* second = original.data<float>() + partner[static_cast<size_t>(i)] * pixels;
    float* mixed = images.data<float>() + i * pixels;
    for (int64_t k = 0; k < pixels; ++k) mixed[k] = lambda * first[k] + (1.0F - lambda) * second[k];
  }
  return mixed_targets(labels, partner, lambda, options);
}

Tensor cutmix(Tensor& images, const Tensor& labels, const MixupOptions& options, Generator& generator) {
  DS_CHECK(images.rank() == 4 && images.size(0) == labels.numel(),
           "[cutmix] images of shape {}, expected {},H,W,C, one a label", images.shape().str(),
           labels.numel());
  check_labels(labels, options.classes, "cutmix");
  const int64_t height = images.size(1);
  const int64_t width = images.size(2);
  const double side = std::sqrt(1.0 - sample_beta(options.alpha, generator));
  const Span rows = random_span(height, side, generator);
  const Span columns = random_span(width, side, generator);
  const std::vector<int64_t> partner = random_partners(labels.numel(), generator);
  const Tensor original = images.clone();
  const int64_t channels = images.size(3);
  for (int64_t i = 0; i < labels.numel(); ++i) {
    for (int64_t y = rows.begin; y < rows.end; ++y) {
      const auto at = [&](int64_t image) {
        return ((image * height + y) * width + columns.begin) * channels;
      };
      std::copy_n(original.data<float>() + at(partner[static_cast<size_t>(i)]), columns.size() * channels,
                  images.data<float>() + at(i));
    }
  }
  const auto pasted = static_cast<float>(rows.size() * columns.size()) / static_cast<float>(height * width);
  return mixed_targets(labels, partner, 1.0F - pasted, options);
}

}  // namespace ds
