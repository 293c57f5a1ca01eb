// A correlation as a matrix product: a row for each output pixel, the pixels of all images one after the
// other.
#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/conv2d/row_products.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace ds::cpu {
namespace {

// Rows of a chunk: many enough to use the filters again, few enough to stay in the cache beside them.
constexpr int64_t kRowBytes = 1 << 20;
constexpr int64_t kFewestRows = 48;
constexpr int64_t kMostRows = 256;
// With fewer chunks than that, the panels are divided too, and all rows are gathered before.
constexpr int64_t kFewestChunks = 16;
constexpr int64_t kGatherGrain = 8;

class RowCorrelator {
 public:
  RowCorrelator(const Correlation& correlation, const Images& images, const Filters& filters, int64_t batch)
      : kernels_(direct_kernels(filters.precision)),
        correlation_(correlation),
        images_(images),
        filters_(filters),
        pixels_(correlation.count.height * correlation.count.width),
        rows_(batch * pixels_),
        length_(static_cast<int64_t>(correlation.taps.size()) * images.source_channels / kernels_.values),
        in_place_(kernels_.values == 1 && correlation.taps.size() == 1 && correlation.step == Size2d(1) &&
                  correlation.taps[0].row == 0 && correlation.taps[0].column == 0 &&
                  correlation.count == images.source_size) {}

  void run() const {
    const auto panels = static_cast<int64_t>(filters_.panels.size());
    const int64_t fit = kRowBytes / (std::max<int64_t>(length_, 1) * int64_t{sizeof(float)});
    const int64_t grain = std::clamp(fit, kFewestRows, kMostRows);
    const int64_t places = chunk_count(rows_, grain);
    const int64_t panel_grain =
        places < kFewestChunks ? chunk_count(panels, chunk_count(kFewestChunks, places)) : panels;
    const Tensor shared = !in_place_ && panel_grain < panels ? gather_all() : Tensor();
    parallel_chunks(places * chunk_count(panels, panel_grain), [&](int64_t chunk) {
      const int64_t begin = chunk % places * grain;
      const int64_t end = std::min(rows_, begin + grain);
      const int64_t first = chunk / places * panel_grain;
      const PanelRange range{.first = first, .last = std::min(panels, first + panel_grain)};
      if (in_place_) {
        multiply(begin, end, range, images_.source + begin * images_.source_pitch + images_.source_from,
                 images_.source_pitch);
      } else if (shared.defined()) {
        multiply(begin, end, range, shared.data<float>() + begin * length_, length_);
      } else {
        Tensor gathered = Tensor::empty({end - begin, length_});
        gather(begin, end, gathered.data<float>());
        multiply(begin, end, range, gathered.data<float>(), length_);
      }
    });
  }

 private:
  Tensor gather_all() const {
    Tensor gathered = Tensor::empty({rows_, length_});
    float* target = gathered.data<float>();
    parallel_for(rows_, kGatherGrain,
                 [&](int64_t begin, int64_t end) { gather(begin, end, target + begin * length_); });
    return gathered;
  }

  void gather(int64_t begin, int64_t end, float* target) const {
    if (kernels_.values == 1) return gather_floats(begin, end, target);
    Tensor floats = Tensor::empty({length_ * kernels_.values});
    for (int64_t i = begin; i < end; ++i, target += length_) {
      gather_floats(i, i + 1, floats.data<float>());
      kernels_.pair_neighbours(floats.data<float>(), length_, target);
    }
  }

  void gather_floats(int64_t begin, int64_t end, float* target) const {
    const Size2d size = images_.source_size;
    const int64_t channels = images_.source_channels;
    for (int64_t i = begin; i < end; ++i) {
      const float* image = images_.source + i / pixels_ * images_.source_image() + images_.source_from;
      const int64_t row = i % pixels_ / correlation_.count.width * correlation_.step.height;
      const int64_t column = i % correlation_.count.width * correlation_.step.width;
      for (const Tap& tap : correlation_.taps) {
        const int64_t r = row + tap.row;
        const int64_t c = column + tap.column;
        if (r >= 0 && r < size.height && c >= 0 && c < size.width) {
          std::copy_n(image + (r * size.width + c) * images_.source_pitch, channels, target);
        } else {
          std::fill_n(target, channels, 0.0F);
        }
        target += channels;
      }
    }
  }

  /// Rows [begin, end) times panels.
  void multiply(int64_t begin, int64_t end, const PanelRange& panels, const float* x, int64_t x_pitch) const {
    multiply_rows({.count = end - begin,
                   .x = x,
                   .x_pitch = x_pitch,
                   .target = begin * images_.target_pitch + images_.target_from,
                   .y_pitch = images_.target_pitch,
                   .taps = taps_,
                   .channels = length_,
                   .from_memory = in_place_ && images_.source_pitch == length_},
                  images_, filters_, panels, length_);
  }

  const DirectKernels& kernels_;
  const Correlation& correlation_;
  const Images& images_;
  const Filters& filters_;
  int64_t pixels_;  // of one image's output
  int64_t rows_;
  int64_t length_;  // words of a row
  bool in_place_;
  std::vector<DirectTap> taps_ = {{.x = 0, .w = 0}};  // of a row: one
};

}  // namespace

void correlate_rows(const Correlation& correlation, const Images& images, const Filters& filters,
                    int64_t batch) {
  RowCorrelator(correlation, images, filters, batch).run();
}

}  // namespace ds::cpu
