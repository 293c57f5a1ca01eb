// Convolutions and linear layers by the packed kernels: chunks of rows times panels of output channels.
#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "core/parallel.h"
#include "infer/cpu/filter_plan.h"
#include "infer/cpu/filter_work.h"
#include "infer/cpu/rescaler.h"
#include "infer/cpu/step.h"

namespace ds::infer {
namespace {

constexpr int64_t kLineBytes = 64;
constexpr int64_t kPageBytes = 4096;
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

/// Asks for a thread's part of the bytes at once: those in another processor's cache would come one after the
/// other.
void fetch(const uint8_t* bytes, const Range& range) {
  for (int64_t i = range.begin; i < range.end; i += kLineBytes) __builtin_prefetch(bytes + i);
}

/// How a chunk reads the weights of its panels.
struct PanelWeights {
  const PackedKernels::DotProducts* dots;
  const uint8_t* first;
  int64_t origin = 0;  // where the first ones stand in the plan
  int expansion = 1;

  const uint8_t* of(const FilterPanel& panel) const { return first + expansion * (panel.weights - origin); }
};

/// Whole pages of memory, of the calling thread: lasts, so that later runs allocate nothing. (Beside what
/// others write to, a layer took up to a tenth longer.)
uint8_t* thread_bytes(int64_t size) {
  thread_local std::vector<uint8_t> bytes;
  const auto pages = static_cast<size_t>(chunk_count(size, kPageBytes) * kPageBytes);
  if (bytes.size() < pages + kPageBytes) bytes.resize(pages + kPageBytes);
  void* first = bytes.data();
  size_t space = bytes.size();
  return static_cast<uint8_t*>(std::align(kPageBytes, pages, first, space));
}

class FilterStep {
 public:
  explicit FilterStep(const StepSource& source)
      : kernels_(*source.kernels.packed),
        rows_(*source.kernels.rows),
        linear_(source.self().kind == NodeKind::kLinear),
        row_stride_(source.self().convolution.stride.height),
        input_(source.input_place()),
        output_(source.place()),
        form_(choose_input(source.self(), source.input(), source.bounds().accumulator, source.shifts_only)),
        rescaler_(source) {
    read_ = input_;
    if (form_.copied()) {
      read_ = copy_place(form_, source.self(), input_);
      read_.offset = source.scratch;
    }
    const Size2d padding = source.self().convolution.padding;
    if (form_.bordered) border_ = padding;
    has_edges_ = !form_.bordered && padding != Size2d(0);
    plan_ = plan_filters(source.self(), source.input(), form_, read_, kernels_);
    work_ = work_of(source.self());
    x_step_ = linear_ ? read_.image_bytes : source.self().convolution.stride.width * read_.pixel_bytes;
    y_step_ = linear_ ? output_.image_bytes : output_.pixel_bytes;
    if (source.self().shortcut >= 0) {
      has_shortcut_ = true;
      shortcut_ = source.places[static_cast<size_t>(source.self().shortcut)];
    }
    result_type_ = static_cast<size_t>(stored_type(source.self().format.type));
    makes_values_ = makes_values();
  }

  void run(const RunContext& context) const {
    if (form_.copied()) copy_input(context);
    const FilterCut cut = cut_work(work_, context.images);
    parallel_chunks(cut.chunks, [&](int64_t chunk) {
      if (cut.own_rows) {
        fetch(read_.image(context.arena, 0),
              equal_part(context.images * read_.image_bytes, chunk, cut.chunks));
      }
      PanelWeights weights = packed_weights();
      int64_t unpacked_from = -1;
      const Range items = cut.items_of(chunk);
      for (int64_t item = items.begin; item < items.end; ++item) {
        const Range panels = cut.panels_of(item);
        if (cut.unpacks && panels.begin != unpacked_from) weights = unpacked_weights(panels);
        unpacked_from = panels.begin;
        run_item(context, cut, panels, cut.units_of(item), weights);
      }
    });
  }

  std::string describe() const {
    std::string text =
        fmt::format("{}, tiles of up to {} x {}", describe_words(), plan_.tile_pixels, plan_.panel_outputs);
    if (work_.may_unpack) text += ", unpacked for several tiles";
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

  FilterWork work_of(const Node& node) const {
    const Shape& w = node.filters.shape;
    FilterWork work{.rows = output_.height, .width = output_.width};
    if (plan_.pointwise) {
      work.rows = 1;
      work.width = output_.height * output_.width;
    }
    work.images_are_pixels = linear_;
    work.output_products = w.numel() / w[0];
    work.outputs = w[0];
    work.panels = static_cast<int64_t>(plan_.panels.size());
    work.panel_outputs = plan_.panel_outputs;
    work.panel_bytes = plan_.panel_outputs * output_.value_bytes();
    work.tile_pixels = plan_.tile_pixels;
    work.weight_bytes = plan_.weight_bytes();
    work.input_bytes = read_.image_bytes;
    work.pixel_bytes = output_.pixel_bytes;
    work.may_unpack = unpacking() != nullptr;
    return work;
  }

  /// Rows of the copy: values in the kernel's type, zeros around them.
  void copy_input(const RunContext& context) const {
    const int64_t rows = std::max<int64_t>(1, kCopyBytes / read_.row_bytes());
    parallel_for(context.images * read_.height, rows, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto [image, y] = divide(row, read_.height);
        copy_row(context, image, y);
      }
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

  PanelWeights packed_weights() const {
    return {.dots = &kernels_.dots, .first = plan_.weights.data<uint8_t>()};
  }

  /// Of the step's weights, or null where there is none.
  const Unpacking* unpacking() const {
    const PackedKernels::Unpacked& unpacked = kernels_.unpacked;
    const Unpacking* unpacking = nullptr;
    if (plan_.form.words == Words::kI16) unpacking = &unpacked.i16;
    if (plan_.form.words == Words::kU8) unpacking = plan_.form.crumbs ? &unpacked.crumbs : &unpacked.u8;
    return unpacking != nullptr && unpacking->kernel != nullptr ? unpacking : nullptr;
  }

  PanelWeights unpacked_weights(const Range& panels) const {
    const auto end_panel = static_cast<size_t>(panels.end);
    const int64_t begin = plan_.panels[static_cast<size_t>(panels.begin)].weights;
    const int64_t end =
        end_panel < plan_.panels.size() ? plan_.panels[end_panel].weights : plan_.weight_bytes();
    const Unpacking& unpacking = *this->unpacking();
    uint8_t* to = thread_bytes((end - begin) * unpacking.expansion);
    unpacking.kernel({.w = plan_.weights.data<uint8_t>() + begin, .crumb_weights = crumb_weights()},
                     end - begin, to);
    return {.dots = kernels_.unpacked.dots, .first = to, .origin = begin, .expansion = unpacking.expansion};
  }

  const int8_t* crumb_weights() const { return plan_.form.crumbs ? plan_.form.crumbs->data() : nullptr; }

  void run_item(const RunContext& context, const FilterCut& cut, const Range& panels, const Range& units,
                const PanelWeights& weights) const {
    const Range& outer = cut.panels_inside ? units : panels;
    const Range& inner = cut.panels_inside ? panels : units;
    for (int64_t o = outer.begin; o < outer.end; ++o) {
      for (int64_t i = inner.begin; i < inner.end; ++i) {
        const auto [panel, unit] = cut.panels_inside ? std::pair(i, o) : std::pair(o, i);
        run_unit(context, cut, plan_.panels[static_cast<size_t>(panel)], weights, unit);
      }
    }
  }

  void run_unit(const RunContext& context, const FilterCut& cut, const FilterPanel& panel,
                const PanelWeights& weights, int64_t unit) const {
    const auto [row, segment] = divide(unit, cut.segments);
    const int64_t begin = segment * cut.segment;
    const int64_t end = std::min(cut.width, begin + cut.segment);
    const auto [image, y] = divide(row, work_.rows);
    const uint8_t* x =
        read_.image(context.arena, image) + y * row_stride_ * read_.row_bytes() + panel.input_offset;
    uint8_t* out = output_.image(context.arena, image) + y * output_.row_bytes() +
                   panel.first_output * output_.value_bytes();
    PackedTile products{.x = nullptr,
                        .x_pitch = x_step_,
                        .runs = nullptr,
                        .run_count = 0,
                        .w = weights.of(panel),
                        .crumb_weights = crumb_weights(),
                        .start = panel.start.empty() ? nullptr : panel.start.data(),
                        .sums = nullptr,
                        .expansion = weights.expansion};
    RescaleTile values = rescaler_.tile(panel.first_output, panel.outputs);
    values.sums_pitch = plan_.panel_outputs;
    values.y_pitch = y_step_;
    const uint8_t* shortcut = nullptr;
    if (has_shortcut_) {
      shortcut = shortcut_.image(context.arena, image) + y * shortcut_.row_bytes() +
                 panel.first_output * shortcut_.value_bytes();
      values.shortcut_pitch = linear_ ? shortcut_.image_bytes : shortcut_.pixel_bytes;
    }
    const auto row_class = static_cast<size_t>(plan_.row_classes[static_cast<size_t>(y)]);
    const int64_t size = segment + 1 < cut.segments ? cut.tile : cut.last_tile;
    for (int64_t p = begin; p < end;) {
      values.pixels = std::min(size, end - p);
      values.y = out + p * y_step_;
      if (has_shortcut_) values.shortcut = shortcut + p * values.shortcut_pitch;
      products.x = x + p * x_step_;
      const int64_t tiles = makes_values_ ? tiles_alike(p, end, size, cut.width) : 1;
      const bool last = p + tiles * values.pixels == cut.width;
      const auto runs_of = [&](size_t pass) { return panel.runs[pass].of(row_class, p == 0, last); };
      if (makes_values_) {
        take_runs(runs_of(0), products);
        weights.dots->u8_values[plan_.form.shape][result_type_][values.pixels - 1](products, values, tiles);
      } else {
        run_tile(panel.runs.size(), runs_of, *weights.dots, products, values);
      }
      p += tiles * values.pixels;
    }
  }

  /// How many whole tiles from pixel p on read the same runs: one at least, be it whole or not.
  int64_t tiles_alike(int64_t p, int64_t end, int64_t size, int64_t width) const {
    if (p + 2 * size > end || (has_edges_ && p == 0)) return 1;
    const int64_t tiles = divide(end - p, size).quotient;
    return has_edges_ && p + tiles * size == width ? tiles - 1 : tiles;
  }

  static void take_runs(std::span<const PackedRun> runs, PackedTile& products) {
    products.runs = runs.data();
    products.run_count = static_cast<int64_t>(runs.size());
  }

  /// One tile by way of sums in memory.
  template <class RunsOf>
  void run_tile(size_t passes, const RunsOf& runs_of, const PackedKernels::DotProducts& dots,
                PackedTile& products, RescaleTile& values) const {
    alignas(64) int32_t sums[kMaxSums];
    const PackedTileKernel kernel = tile_kernel(dots, values.pixels);
    const auto make_sums = [&](size_t pass) {
      take_runs(runs_of(pass), products);
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
    for (size_t pass = 0; pass < passes; ++pass) {
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

  /// Whether kernels leave no sums behind.
  bool makes_values() const {
    const auto& kernels = kernels_.dots.u8_values[plan_.form.shape];
    return plan_.form.words == Words::kU8 && !plan_.form.crumbs && plan_.whole() && !rescaler_.wide() &&
           !has_shortcut_ && result_type_ < std::size(kernels) && kernels[result_type_][0] != nullptr;
  }

  PackedTileKernel tile_kernel(const PackedKernels::DotProducts& dots, int64_t pixels) const {
    switch (plan_.form.words) {
      case Words::kU8:
        return plan_.form.crumbs ? dots.crumbs[pixels - 1] : dots.u8[plan_.form.shape][pixels - 1];
      case Words::kI16: return dots.i16[plan_.form.shape][pixels - 1];
      case Words::kShift: return kernels_.shift[pixels - 1];
    }
    return nullptr;
  }

  const PackedKernels& kernels_;
  const RowKernels& rows_;
  bool linear_;
  bool has_shortcut_ = false;
  int64_t row_stride_;
  Size2d border_ = 0;       // of the copy
  bool has_edges_ = false;  // whether windows of a row's first and last pixels skip padding
  int64_t x_step_ = 0;      // bytes between neighbouring pixels' inputs
  int64_t y_step_ = 0;
  Place input_;
  Place output_;
  Place shortcut_;
  Place read_;  // the input, or its copy
  FilterInput form_;
  FilterPlan plan_;
  FilterWork work_;
  Rescaler rescaler_;
  size_t result_type_ = 0;
  bool makes_values_ = false;
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
