// Convolutions and linear layers by the packed kernels: chunks of rows times panels of output channels.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

#include "core/parallel.h"
#include "infer/cpu/filter_plan.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"

namespace ds::infer {
namespace {

constexpr int64_t kChunkWork = 500'000;          // products of a chunk: enough to hide the hand-out
constexpr int64_t kLittleWork = 4 * kChunkWork;  // products, for each thread
constexpr int64_t kSegmentTiles = 8;             // of a row, that a chunk may take alone
/// Threads share panels instead of rows where there are so many times as many bytes of weights as of values.
constexpr int64_t kWeightsPerValue = 4;
constexpr int64_t kLineBytes = 64;
constexpr int64_t kCopyBytes = 16'384;  // of a chunk
constexpr int64_t kMaxSums = 512;       // of a tile
static_assert(PackedKernels::kMaxTile + kRescaleBlock <= kMaxSums);

/// The copy that the kernels read: another type, or with a border of zeros.
Place copy_place(const FilterInput& form, const Node& node, const Place& input) {
  Place copy{.type = form.read, .height = input.height, .width = input.width, .channels = input.channels};
  if (form.bordered) {
    copy.height += 2 * node.convolution.padding.height;
    copy.width += 2 * node.convolution.padding.width;
  }
  copy.pixel_bytes = copy.channels * copy.value_bytes();
  copy.image_bytes = copy.height * copy.row_bytes();
  return copy;
}

/// Of so many parts; even, since pairs of pixels are rescaled at once.
int64_t even_size(int64_t pixels, int64_t parts) {
  const int64_t size = chunk_count(pixels, parts);
  return size + size % 2;
}

/// About `count`, at most `most`: `times` as many are the same number for every thread, where that can be.
int64_t shared_count(int64_t count, int64_t times, int64_t most) {
  const int64_t threads = num_threads();
  const int64_t step = threads / std::gcd(times, threads);
  const int64_t up = chunk_count(count, step) * step;
  if (up <= most) return up;
  return most >= step ? most / step * step : most;
}

/// Asks for a thread's part of the bytes at once: those in another processor's cache would come one after the
/// other.
void fetch(const uint8_t* bytes, int64_t count, int64_t part, int64_t parts) {
  const int64_t end = count * (part + 1) / parts;
  for (int64_t i = count * part / parts; i < end; i += kLineBytes) __builtin_prefetch(bytes + i);
}

/// Rows of outputs, each of neighbouring pixels: those of images, or for linear layers the images themselves.
struct RowSpace {
  int64_t rows = 0;
  int64_t width = 0;
  int64_t segment = 0;  // pixels that a unit of work takes of a row
  int64_t segments = 0;
  int64_t x_step = 0;  // bytes between neighbouring pixels' inputs
  int64_t y_step = 0;

  int64_t units() const { return rows * segments; }
};

class FilterStep {
 public:
  explicit FilterStep(const StepSource& source)
      : kernels_(*source.kernels.packed),
        rows_(*source.kernels.rows),
        linear_(source.self().kind == NodeKind::kLinear),
        stride_(source.self().convolution.stride),
        input_(source.input_place()),
        output_(source.place()),
        form_(choose_input(source.self(), source.input(), source.bounds().accumulator, source.shifts_only)),
        rescaler_(source) {
    read_ = input_;
    if (form_.copied()) {
      read_ = copy_place(form_, source.self(), input_);
      read_.offset = source.scratch;
    }
    if (form_.bordered) border_ = source.self().convolution.padding;
    plan_ = plan_filters(source.self(), source.input(), form_, read_, kernels_);
    const Shape& w = source.self().filters.shape;
    work_ = w.numel() / w[0];
    const Size2d size = image_size(source.self());
    products_ = size.height * size.width * w.numel();
    if (source.self().shortcut >= 0) {
      has_shortcut_ = true;
      shortcut_ = source.places[static_cast<size_t>(source.self().shortcut)];
    }
    values_kernels_ = values_kernels(source.self().format);
  }

  void run(const RunContext& context) const {
    if (form_.copied()) copy_input(context);
    const RowSpace space = row_space(context.images);
    const auto panels = static_cast<int64_t>(plan_.panels.size());
    const bool by_panels = shares_panels(context.images);
    const int64_t blocks = block_count(space, by_panels);
    const int64_t items = blocks * panels;
    const bool is_even = items % num_threads() == 0 && space.units() % blocks == 0;
    const bool in_parts = is_little(context.images) && is_even;  // nobody needs help
    const bool own_rows = in_parts && !by_panels && blocks % num_threads() == 0;
    const int64_t chunks = in_parts ? num_threads() : items;
    parallel_chunks(chunks, [&](int64_t chunk) {
      if (own_rows) {
        fetch(read_.image(context.arena, 0), context.images * read_.image_bytes, chunk, chunks);
      }
      for (int64_t item = items * chunk / chunks; item < items * (chunk + 1) / chunks; ++item) {
        const int64_t block = by_panels ? item % blocks : item / panels;
        const int64_t panel = by_panels ? item / blocks : item % panels;
        const int64_t end = space.units() * (block + 1) / blocks;
        for (int64_t unit = space.units() * block / blocks; unit < end; ++unit) {
          run_unit(context, space, plan_.panels[static_cast<size_t>(panel)], unit);
        }
      }
    });
  }

  std::string describe() const {
    std::string text =
        fmt::format("{}, tiles of up to {} x {}", describe_words(), plan_.tile_pixels, plan_.panel_outputs);
    if (form_.copied()) text += fmt::format(", input copied{}", form_.bordered ? " with its border" : "");
    if (!plan_.whole())
      text += fmt::format(", {} pass{}", plan_.pass_shifts.size(), plan_.pass_shifts.size() == 1 ? "" : "es");
    if (rescaler_.wide()) text += ", 64-bit rescaling";
    return text;
  }
  int64_t weight_bytes() const { return plan_.weight_bytes(); }

 private:
  std::string_view describe_words() const {
    switch (plan_.form.words) {
      case Words::kU8:
        if (!kernels_.byte_codes) return "bytes";
        return plan_.form.crumbs ? "bytes and 2-bit codes" : "bytes and 4-bit codes";
      case Words::kI16: return kernels_.word_codes ? "16-bit words and 8-bit codes" : "16-bit words";
      case Words::kShift: return "shifts and additions";
    }
    return "";
  }

  RowSpace row_space(int64_t images) const {
    RowSpace space{.rows = images * output_.height, .width = output_.width};
    space.x_step = stride_.width * read_.pixel_bytes;
    space.y_step = output_.pixel_bytes;
    if (linear_) {
      space = {.rows = 1, .width = images};
      space.x_step = read_.image_bytes;
      space.y_step = output_.image_bytes;
    } else if (plan_.pointwise) {
      space.rows = images;
      space.width = output_.height * output_.width;
    }
    // Few tiles where each is much work, and the same for every thread.
    const int64_t tile_work = std::max<int64_t>(1, work_ * plan_.tile_pixels * plan_.panel_outputs);
    const int64_t tiles = chunk_count(space.width, plan_.tile_pixels);
    const int64_t most = std::clamp<int64_t>(kChunkWork / tile_work, 1, kSegmentTiles);
    const int64_t segments = shared_count(chunk_count(tiles, most), space.rows, tiles);
    space.segment = std::min(space.width, even_size(space.width, segments));
    space.segments = chunk_count(space.width, space.segment);
    return space;
  }

  bool is_little(int64_t images) const { return images * products_ <= kLittleWork * num_threads(); }

  /// Threads share rows, and meet those that they wrote in the step before: what another processor has in its
  /// cache takes long to come. But many weights for few values are shared by panels; not so where work is
  /// little and two threads would write to most lines of the cache.
  bool shares_panels(int64_t images) const {
    const bool lines_are_own = output_.pixel_bytes >= kLineBytes * num_threads();
    return plan_.weight_bytes() > kWeightsPerValue * images * read_.image_bytes &&
           (lines_are_own || !is_little(images));
  }

  /// Of rows; times panels as many for every thread. (Integers are the same however they are cut.)
  int64_t block_count(const RowSpace& space, bool by_panels) const {
    const int64_t unit_work = std::max<int64_t>(1, space.segment * work_ * plan_.panel_outputs);
    const int64_t blocks = chunk_count(space.units(), std::max<int64_t>(1, kChunkWork / unit_work));
    return shared_count(blocks, by_panels ? static_cast<int64_t>(plan_.panels.size()) : 1, space.units());
  }

  /// Rows of the copy: values in the kernel's type, zeros around them.
  void copy_input(const RunContext& context) const {
    const int64_t rows = std::max<int64_t>(1, kCopyBytes / read_.row_bytes());
    parallel_for(context.images * read_.height, rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) copy_row(context, row / read_.height, row % read_.height);
    });
  }

  void copy_row(const RunContext& context, int64_t image, int64_t row) const {
    uint8_t* to = read_.image(context.arena, image) + row * read_.row_bytes();
    const int zero = form_.offset ? 128 : 0;
    const int64_t from_row = row - border_.height;
    if (from_row < 0 || from_row >= input_.height) {
      std::memset(to, zero, static_cast<size_t>(read_.row_bytes()));
      return;
    }
    const int64_t side = border_.width * read_.pixel_bytes;
    std::memset(to, zero, static_cast<size_t>(side));
    std::memset(to + read_.row_bytes() - side, zero, static_cast<size_t>(side));
    const uint8_t* from = input_.image(context.arena, image) + from_row * input_.row_bytes();
    const ConvertKernel convert = form_.read == DType::kI16
                                      ? rows_.to_i16[static_cast<int>(stored_type(input_.type))]
                                      : rows_.i8_to_offset_u8;
    const bool whole = input_.pixel_bytes == input_.channels * input_.value_bytes();
    const int64_t pieces = whole ? 1 : input_.width;
    const int64_t values = whole ? input_.width * input_.channels : input_.channels;
    for (int64_t i = 0; i < pieces; ++i) {
      uint8_t* target = to + side + i * read_.pixel_bytes;
      const uint8_t* source = from + i * input_.pixel_bytes;
      if (form_.read == form_.stored) {
        std::memcpy(target, source, static_cast<size_t>(values * input_.value_bytes()));
      } else {
        convert(source, values, target);
      }
    }
  }

  void run_unit(const RunContext& context, const RowSpace& space, const FilterPanel& panel,
                int64_t unit) const {
    const int64_t row = unit / space.segments;
    const int64_t begin = unit % space.segments * space.segment;
    const int64_t end = std::min(space.width, begin + space.segment);
    const bool by_rows = !linear_ && !plan_.pointwise;
    const int64_t image = by_rows ? row / output_.height : row;
    const int64_t y = by_rows ? row % output_.height : 0;
    const uint8_t* x =
        read_.image(context.arena, image) + y * stride_.height * read_.row_bytes() + panel.input_offset;
    uint8_t* out = output_.image(context.arena, image) + y * output_.row_bytes() +
                   panel.first_output * output_.value_bytes();
    PackedTile products{.x = nullptr,
                        .x_pitch = space.x_step,
                        .runs = nullptr,
                        .run_count = 0,
                        .w = plan_.weights.data<uint8_t>() + panel.weights,
                        .crumb_weights = plan_.form.crumbs ? plan_.form.crumbs->data() : nullptr,
                        .start = panel.start.empty() ? nullptr : panel.start.data(),
                        .sums = nullptr};
    RescaleTile values = rescaler_.tile(panel.first_output, panel.outputs);
    values.sums_pitch = plan_.panel_outputs;
    values.y_pitch = space.y_step;
    const uint8_t* shortcut = nullptr;
    if (has_shortcut_) {
      shortcut = shortcut_.image(context.arena, image) + y * shortcut_.row_bytes() +
                 panel.first_output * shortcut_.value_bytes();
      values.shortcut_pitch = linear_ ? shortcut_.image_bytes : shortcut_.pixel_bytes;
    }
    const auto row_class = static_cast<size_t>(plan_.row_classes[static_cast<size_t>(y)]);
    const int64_t size = tile_pixels(end - begin);
    for (int64_t p = begin; p < end; p += size) {
      values.pixels = std::min(size, end - p);
      values.y = out + p * space.y_step;
      if (has_shortcut_) values.shortcut = shortcut + p * values.shortcut_pitch;
      products.x = x + p * space.x_step;
      run_tile(panel, row_class, p == 0, p + values.pixels == space.width, products, values);
    }
  }

  /// Tiles of about the same size.
  int64_t tile_pixels(int64_t pixels) const {
    return std::min(even_size(pixels, chunk_count(pixels, plan_.tile_pixels)), plan_.tile_pixels);
  }

  void run_tile(const FilterPanel& panel, size_t row_class, bool first, bool last, PackedTile& products,
                RescaleTile& values) const {
    alignas(64) int32_t sums[kMaxSums];
    const auto take_runs = [&](size_t pass) {
      const std::vector<PackedRun>& runs = panel.runs[pass][row_class].of(first, last);
      products.runs = runs.data();
      products.run_count = static_cast<int64_t>(runs.size());
    };
    if (values_kernels_ != nullptr) {
      take_runs(0);
      values_kernels_[values.pixels - 1](products, values);
      return;
    }
    const PackedTileKernel kernel = tile_kernel(values.pixels);
    const auto make_sums = [&](size_t pass) {
      take_runs(pass);
      products.sums = sums;
      kernel(products);
    };
    if (plan_.whole() && !rescaler_.wide()) {
      make_sums(0);
      values.sums = sums;
      rescaler_.run(values);
      return;
    }
    alignas(64) int64_t wide_sums[kMaxSums];
    const auto count = static_cast<size_t>(values.pixels * plan_.panel_outputs);
    for (size_t pass = 0; pass < panel.runs.size(); ++pass) {
      make_sums(pass);
      for (size_t i = 0; i < count; ++i) {
        const int64_t sum = int64_t{sums[i]} << plan_.pass_shifts[pass];
        wide_sums[i] = pass == 0 ? sum : wide_sums[i] + sum;
      }
    }
    values.sums = wide_sums;
    if (!rescaler_.wide()) {  // 32 bits hold the whole, though not what stands on the way
      for (size_t i = 0; i < count; ++i) sums[i] = static_cast<int32_t>(wide_sums[i]);
      values.sums = sums;
    }
    rescaler_.run(values);
  }

  /// Kernels that leave no sums behind, or null where the step is not one of theirs.
  const PackedValuesKernel* values_kernels(const Format& result) const {
    const auto type = static_cast<size_t>(stored_type(result.type));
    const auto& kernels = kernels_.u8_values[plan_.form.shape];
    const bool is_theirs = plan_.form.words == Words::kU8 && !plan_.form.crumbs && plan_.whole() &&
                           !rescaler_.wide() && !has_shortcut_ && type < std::size(kernels);
    return is_theirs && kernels[type][0] != nullptr ? kernels[type] : nullptr;
  }

  PackedTileKernel tile_kernel(int64_t pixels) const {
    switch (plan_.form.words) {
      case Words::kU8:
        return plan_.form.crumbs ? kernels_.crumbs[pixels - 1] : kernels_.u8[plan_.form.shape][pixels - 1];
      case Words::kI16: return kernels_.i16[plan_.form.shape][pixels - 1];
      case Words::kShift: return kernels_.shift[pixels - 1];
    }
    return nullptr;
  }

  const PackedKernels& kernels_;
  const RowKernels& rows_;
  bool linear_;
  bool has_shortcut_ = false;
  Size2d stride_;
  Size2d border_ = 0;     // of the copy
  int64_t work_ = 0;      // products of an output
  int64_t products_ = 0;  // of an image
  Place input_;
  Place output_;
  Place shortcut_;
  Place read_;  // the input, or its copy
  FilterInput form_;
  FilterPlan plan_;
  Rescaler rescaler_;
  const PackedValuesKernel* values_kernels_ = nullptr;
};

}  // namespace

int64_t filter_scratch_bytes(const Node& node, const Node& input, const Interval& accumulator,
                             bool shifts_only) {
  const FilterInput form = choose_input(node, input, accumulator, shifts_only);
  if (!form.copied()) return 0;
  const auto [height, width] = image_size(input);
  return copy_place(
             form, node,
             {.type = input.format.type, .height = height, .width = width, .channels = input.shape[-1]})
      .image_bytes;
}

Step make_filter_step(const StepSource& source) {
  const auto step = std::make_shared<const FilterStep>(source);
  return {.kernel = step->describe(),
          .weight_bytes = step->weight_bytes(),
          .run = [step](const RunContext& context) { step->run(context); }};
}

}  // namespace ds::infer
