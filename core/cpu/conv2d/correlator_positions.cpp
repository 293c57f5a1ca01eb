// A correlation of many small images: a tile is the same output pixel of neighbouring images, which all see
// the same taps. Those in the border are left out, and tiles are full however small the images.
#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/conv2d/row_products.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

// Images of a chunk: many enough to use the filters again, few enough that their rows stay in the cache.
constexpr int64_t kRowBytes = 1 << 20;
constexpr int64_t kFewestImages = 48;

class PositionCorrelator {
 public:
  PositionCorrelator(const Correlation& correlation, const Images& images, const Filters& filters,
                     int64_t batch)
      : kernels_(direct_kernels(filters.precision)),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        batch_(batch),
        channels_(images.source_channels / kernels_.values),
        length_(static_cast<int64_t>(correlation.taps.size()) * channels_) {}

  void run() const {
    const int64_t fit = kRowBytes / (std::max<int64_t>(length_, 1) * int64_t{sizeof(float)});
    const int64_t groups = chunk_count(batch_, std::max(fit, kFewestImages));
    const int64_t grain = chunk_count(batch_, groups);
    const int64_t positions = correlation_.count.height * correlation_.count.width;
    parallel_chunks(positions * groups, [&](int64_t chunk) {
      const int64_t first = chunk / positions * grain;
      const int64_t position = chunk % positions;
      run_position(position / correlation_.count.width, position % correlation_.count.width, first,
                   std::min(batch_, first + grain));
    });
  }

 private:
  /// Taps of one output pixel that lie in the image: where they read it, and what the kernels see of them.
  struct Taps {
    std::vector<int64_t> sources;  // floats from the image
    std::vector<DirectTap> gathered;
  };

  Taps taps_of(int64_t row, int64_t column) const {
    const Size2d size = images_.source_size;
    Taps taps;
    for (size_t t = 0; t < correlation_.taps.size(); ++t) {
      const int64_t r = row * correlation_.step.height + correlation_.taps[t].row;
      const int64_t c = column * correlation_.step.width + correlation_.taps[t].column;
      if (r < 0 || r >= size.height || c < 0 || c >= size.width) continue;
      taps.gathered.push_back({.x = static_cast<int64_t>(taps.sources.size()) * channels_,
                               .w = static_cast<int64_t>(t) * channels_});
      taps.sources.push_back((r * size.width + c) * images_.source_pitch + images_.source_from);
    }
    return taps;
  }

  /// One output pixel of images [first, last).
  void run_position(int64_t row, int64_t column, int64_t first, int64_t last) const {
    const Taps taps = taps_of(row, column);
    const int64_t pitch = static_cast<int64_t>(taps.sources.size()) * channels_;
    Tensor gathered = Tensor::empty({last - first, std::max<int64_t>(pitch, 1)});
    gather(taps.sources, first, last, gathered.data<float>());
    const int64_t target_row = correlation_.first.height + row * correlation_.spacing.height;
    const int64_t target_column = correlation_.first.width + column * correlation_.spacing.width;
    multiply_rows({.count = last - first,
                   .x = gathered.data<float>(),
                   .x_pitch = pitch,
                   .target = first * images_.target_image() + images_.target_from +
                             (target_row * images_.target_size.width + target_column) * images_.target_pitch,
                   .y_pitch = images_.target_image(),
                   .taps = taps.gathered,
                   .channels = channels_,
                   .from_memory = false},
                  images_, filters_, {.first = 0, .last = static_cast<int64_t>(filters_.panels.size())},
                  length_);
  }

  void gather(const std::vector<int64_t>& sources, int64_t first, int64_t last, float* target) const {
    for (int64_t n = first; n < last; ++n) {
      const float* image = images_.source + n * images_.source_image();
      for (const int64_t source : sources) {
        if (kernels_.values == 1) {
          std::copy_n(image + source, channels_, target);
        } else {
          kernels_.pair_neighbours(image + source, channels_, target);
        }
        target += channels_;
      }
    }
  }

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  int64_t batch_;
  int64_t channels_;  // words of a tap
  int64_t length_;    // words of all taps
};

}  // namespace

void correlate_positions(const Correlation& correlation, const Images& images, const Filters& filters,
                         int64_t batch) {
  PositionCorrelator(correlation, images, filters, batch).run();
}

}  // namespace ds::cpu
