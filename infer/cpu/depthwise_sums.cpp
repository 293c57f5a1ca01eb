#include "infer/cpu/depthwise_sums.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>

#include "core/parallel.h"
#include "infer/cpu/panel_packer.h"
#include "infer/window.h"

namespace ds::infer {
namespace {

/// Channels up to a whole block.
int64_t padded(int64_t channels) { return chunk_count(channels, kRescaleBlock) * kRescaleBlock; }

/// Where the window of an output pixel begins, which may be outside the image.
const uint8_t* window_origin(const Place& input, const Window& window, const uint8_t* arena, int64_t image,
                             int64_t y, int64_t x) {
  const int64_t row = y * window.stride.height - window.padding.height;
  const int64_t column = x * window.stride.width - window.padding.width;
  return input.offset + arena + image * input.image_bytes + row * input.row_bytes() +
         column * input.pixel_bytes;
}

/// Tap by tap, channels side by side, whatever the window: by multiplications, or by shifts alone.
class TapSums : public DepthwiseSums {
 public:
  TapSums(const StepSource& source, bool wide)
      : window_(window_of(source.self())),
        input_(source.input_place()),
        sum_bytes_(wide ? sizeof(int64_t) : sizeof(int32_t)),
        shifts_(source.shifts_only),
        rows_(row_taps(window_, source.place().height, input_.height)),
        columns_(column_taps(window_, source.place().width, input_.width)),
        taps_(window_.kernel.height * window_.kernel.width),
        pitch_(padded(source.place().channels)) {
    const auto type = static_cast<int>(stored_type(input_.type));
    const RowKernels& kernels = *source.kernels.rows;
    if (shifts_) {
      run_ = wide ? kernels.depthwise_shifts_wide[type] : kernels.depthwise_shifts[type];
    } else {
      run_ = wide ? kernels.depthwise_wide[type] : kernels.depthwise[type];
    }
    std::vector<int32_t> rest = source.self().filters.integers();
    do add_term(rest);
    while (std::ranges::any_of(rest, [](int32_t w) { return w != 0; }));
  }

  void make(const uint8_t* arena, const DepthwisePart& part, void* sums, int64_t pitch) const override {
    auto* to = static_cast<unsigned char*>(sums);
    for (int64_t begin = part.begin; begin < part.end;) {
      const TapRange& columns = columns_[static_cast<size_t>(begin)];
      int64_t end = begin + 1;
      while (end < part.end && columns_[static_cast<size_t>(end)] == columns) ++end;
      const Taps& taps = list_taps(rows_[static_cast<size_t>(part.y)], columns);
      run_({.x = window_origin(input_, window_, arena, part.image, part.y, begin) +
                 part.first * input_.value_bytes(),
            .x_pitch = window_.stride.width * input_.pixel_bytes,
            .offsets = taps.offsets.data(),
            .weights = taps.weights.data(),
            .first = part.first,
            .taps = static_cast<int64_t>(taps.offsets.size()),
            .pixels = end - begin,
            .count = part.count,
            .sums = to + (begin - part.begin) * pitch * sum_bytes_,
            .sums_pitch = pitch});
      begin = end;
    }
  }

  std::string_view describe() const override {
    return shifts_ ? "shifts and additions, channels side by side" : "channels side by side";
  }
  int64_t weight_bytes() const override { return static_cast<int64_t>(weights_.size() * sizeof(int32_t)); }

 private:
  /// Weights to multiply by are one term. Of those to shift by, a term has the largest power of two of what
  /// is left: the nearest might be larger, and leave the bounds of the sums on the way.
  void add_term(std::vector<int32_t>& rest) {
    const int64_t base = terms_ * taps_ * pitch_;
    weights_.resize(static_cast<size_t>(base + taps_ * pitch_));
    for (size_t i = 0; i < rest.size(); ++i) {
      const int64_t c = static_cast<int64_t>(i) / taps_;
      const int64_t t = static_cast<int64_t>(i) % taps_;
      const int32_t part = shifts_ ? largest_power(rest[i]) : rest[i];
      weights_[static_cast<size_t>(base + t * pitch_ + c)] = shifts_ ? shift_code(part) : part;
      rest[i] -= part;
    }
    ++terms_;
  }

  static int32_t largest_power(int32_t weight) {
    const auto power = static_cast<int32_t>(std::bit_floor(static_cast<uint32_t>(std::abs(weight))));
    return weight < 0 ? -power : power;
  }

  /// The taps of windows that lie within the image: bytes from the window's origin, and their weights.
  struct Taps {
    std::vector<int64_t> offsets;
    std::vector<const int32_t*> weights;
  };

  /// Valid until the thread's next call: runs allocate nothing once they have begun.
  const Taps& list_taps(const TapRange& rows, const TapRange& columns) const {
    thread_local Taps taps;
    taps.offsets.clear();
    taps.weights.clear();
    for (int64_t term = 0; term < terms_; ++term) {
      for (int64_t ky = rows.begin; ky < rows.end; ++ky) {
        for (int64_t kx = columns.begin; kx < columns.end; ++kx) {
          const int64_t tap = term * taps_ + ky * window_.kernel.width + kx;
          taps.offsets.push_back(ky * window_.dilation.height * input_.row_bytes() +
                                 kx * window_.dilation.width * input_.pixel_bytes);
          taps.weights.push_back(weights_.data() + tap * pitch_);
        }
      }
    }
    return taps;
  }

  Window window_;
  Place input_;
  int64_t sum_bytes_;
  bool shifts_;
  std::vector<TapRange> rows_;
  std::vector<TapRange> columns_;
  int64_t taps_;
  int64_t pitch_;
  DepthwiseKernel run_;
  int64_t terms_ = 0;
  std::vector<int32_t> weights_;  // [terms][taps][pitch]
};

/// By dot products of bytes: windows of three columns, u8 values.
class RowSums : public DepthwiseSums {
 public:
  explicit RowSums(const StepSource& source)
      : window_(window_of(source.self())),
        input_(source.input_place()),
        width_(source.place().width),
        rows_(row_taps(window_, source.place().height, input_.height)),
        kernels_(source.kernels.rows->depthwise_rows->of[window_.stride.width - 1]),
        row_weights_(padded(source.place().channels) * kWord) {
    const std::vector<int32_t> weights = source.self().filters.integers();
    weights_.resize(static_cast<size_t>(window_.kernel.height * row_weights_));
    for (size_t i = 0; i < weights.size(); ++i) {
      const int64_t tap = static_cast<int64_t>(i) % (window_.kernel.height * kColumns);
      const int64_t channel = static_cast<int64_t>(i) / (window_.kernel.height * kColumns);
      weights_[static_cast<size_t>(tap / kColumns * row_weights_ + channel * kWord + tap % kColumns)] =
          static_cast<int8_t>(weights[i]);
    }
  }

  static bool takes(const StepSource& source, bool wide) {
    const Window window = window_of(source.self());
    const std::vector<int32_t> weights = source.self().filters.integers();
    return !wide && !source.shifts_only && source.kernels.rows->depthwise_rows != nullptr &&
           source.input_place().type == DType::kU8 && window.kernel.width == kColumns &&
           window.dilation.width == 1 && window.padding.width <= 1 &&
           window.stride.width <= DepthwiseRowsKernels::kMaxStride &&
           std::ranges::all_of(weights, [](int32_t w) {
             return w >= std::numeric_limits<int8_t>::min() && w <= std::numeric_limits<int8_t>::max();
           });
  }

  void make(const uint8_t* arena, const DepthwisePart& part, void* sums, int64_t pitch) const override {
    const TapRange& rows = rows_[static_cast<size_t>(part.y)];
    const int64_t row_bytes = window_.dilation.height * input_.row_bytes();
    const int64_t tiles = chunk_count(part.end - part.begin, DepthwiseRowsKernels::kMaxPixels);
    const int64_t size = chunk_count(part.end - part.begin, tiles);
    auto* to = static_cast<int32_t*>(sums);
    for (int64_t begin = part.begin; begin < part.end; begin += size) {
      const int64_t pixels = std::min(size, part.end - begin);
      kernels_[pixels - 1]({.x = window_origin(input_, window_, arena, part.image, part.y, begin) +
                                 rows.begin * row_bytes + part.first,
                            .pixel_pitch = input_.pixel_bytes,
                            .row_pitch = row_bytes,
                            .rows = rows.end - rows.begin,
                            .weights = weights_.data() + rows.begin * row_weights_ + part.first * kWord,
                            .weight_pitch = row_weights_,
                            .skips_first = begin == 0 && window_.padding.width > 0,
                            .skips_last = begin + pixels == width_ && reads_beyond(),
                            .count = part.count,
                            .sums = to + (begin - part.begin) * pitch,
                            .sums_pitch = pitch});
    }
  }

  std::string_view describe() const override { return "dot products of bytes, channels side by side"; }
  int64_t weight_bytes() const override { return static_cast<int64_t>(weights_.size()); }

 private:
  static constexpr int64_t kColumns = 3;
  static constexpr int64_t kWord = 4;  // bytes: the taps of a row, and a zero

  /// Whether the last window of a row reads padding.
  bool reads_beyond() const {
    return (width_ - 1) * window_.stride.width - window_.padding.width + kColumns > input_.width;
  }

  Window window_;
  Place input_;
  int64_t width_;
  std::vector<TapRange> rows_;
  const DepthwiseRowsKernel* kernels_;
  int64_t row_weights_;          // bytes of a row of taps
  std::vector<int8_t> weights_;  // [rows of taps][channels][4]
};

}  // namespace

std::unique_ptr<const DepthwiseSums> make_depthwise_sums(const StepSource& source, bool wide) {
  if (RowSums::takes(source, wide)) return std::make_unique<const RowSums>(source);
  return std::make_unique<const TapSums>(source, wide);
}

}  // namespace ds::infer
