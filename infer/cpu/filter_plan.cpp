#include "infer/cpu/filter_plan.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "core/parallel.h"

namespace ds::infer {
namespace {

constexpr int kPlaneBits = 8;        // weights of 16 bits in two planes, where sums need 64 bits
constexpr int64_t kPieceWords = 64;  // of a run, that a pass takes as one
constexpr int64_t kEmptyLanes = 5;   // one in so many is worth kernels that load more
constexpr int64_t kPassWords = 64;   // that cost as much as the end of a pass

/// What a tap, or a row of taps, reads and which weights it has.
struct Tap {
  int64_t offset = 0;  // bytes from the window's origin
  int64_t ky = 0;
  int64_t values = 0;  // neighbouring values
  int64_t weight = 0;  // index of the first one's weight within a filter
  bool skips_first = false;
  bool skips_last = false;
};

/// Part of a tap in a pass.
struct Piece {
  size_t tap = 0;
  int64_t first = 0;  // value
  int64_t values = 0;
};

enum class Plane : uint8_t { kAll, kLow, kHigh };

struct Pass {
  int shift = 0;
  Plane plane = Plane::kAll;
  std::vector<Piece> pieces = {};
};

int32_t in_plane(int32_t weight, Plane plane) {
  switch (plane) {
    case Plane::kAll: return weight;
    case Plane::kLow: return weight % (1 << kPlaneBits);
    case Plane::kHigh: return weight / (1 << kPlaneBits);
  }
  return 0;
}

/// A border holds the padding: then it belongs to the image.
Window window_on(const FilterInput& form, const Node& node) {
  Window window = window_of(node);
  if (form.bordered) window.padding = 0;
  return window;
}

class FilterPlanner {
 public:
  FilterPlanner(const Node& node, const Node& input, const FilterInput& form, const Place& read,
                const PackedKernels& kernels)
      : node_(node),
        input_(input),
        form_(form),
        read_(read),
        kernels_(kernels),
        window_(window_on(form, node)),
        output_(image_size(node)),
        weights_(node.filters.integers()),
        row_(static_cast<int64_t>(weights_.size()) / node.filters.shape[0]) {}

  FilterPlan plan() && {
    plan_.form.words = form_.words;
    plan_.pointwise = node_.kind != NodeKind::kLinear && window_.kernel == Size2d(1) &&
                      window_.stride == Size2d(1) && window_.padding == Size2d(0);
    choose_tile();
    list_taps();
    if (takes_crumbs()) plan_.form.crumbs = crumb_weights(node_.filters.format.method);
    classify_rows();
    list_passes();
    for (const Pass& pass : passes_) plan_.pass_shifts.push_back(pass.shift);
    const int64_t group_outputs = node_.filters.shape[0] / window_.groups;
    for (int64_t group = 0; group < window_.groups; ++group) {
      for (int64_t o = 0; o < group_outputs; o += plan_.panel_outputs) {
        add_panel(group, group * group_outputs + o, std::min(plan_.panel_outputs, group_outputs - o));
      }
    }
    plan_.weights = Tensor::from(packed_, {static_cast<int64_t>(packed_.size())});
    return std::move(plan_);
  }

 private:
  int64_t value_bytes() const { return plan_.form.words == Words::kU8 ? 1 : 2; }
  int64_t word_values() const { return infer::word_values(plan_.form.words); }
  PanelPacker packer() const { return {kernels_, plan_.form}; }

  /// Panels of four vectors where rows are too short to keep enough sums of two in flight; of one, whatever
  /// the rows, where a good part of two would stay empty.
  void choose_tile() {
    const int64_t outputs = node_.filters.shape[0] / window_.groups;
    const int64_t lanes = kernels_.lanes;
    plan_.form.shape = 0;
    if (plan_.form.words != Words::kShift) {
      const int64_t width = plan_.pointwise ? output_.height * output_.width : output_.width;
      if (width <= kernels_.max_pixels[1] && outputs > 2 * lanes) plan_.form.shape = 1;
      const int64_t computed = chunk_count(outputs, 2 * lanes) * 2 * lanes;
      if (kEmptyLanes * (computed - chunk_count(outputs, lanes) * lanes) >= computed) plan_.form.shape = 2;
    }
    plan_.panel_outputs = int64_t{kernels_.vectors[plan_.form.shape]} * lanes;
    plan_.tile_pixels =
        plan_.form.words == Words::kShift ? kernels_.max_shift_pixels : kernels_.max_pixels[plan_.form.shape];
  }

  /// Whether the taps of a filter's row read neighbouring values, and none of them padding.
  bool joins_rows() const {
    return window_.groups == 1 && window_.dilation.width == 1 && window_.padding.width == 0 &&
           read_.pixel_bytes == input_.shape[-1] * value_bytes();
  }

  void list_taps() {
    const int64_t channels = node_.filters.shape[-1];
    if (node_.kind == NodeKind::kLinear) {
      taps_.push_back({.values = channels});
      return;
    }
    const int64_t joined = joins_rows() ? window_.kernel.width : 1;
    for (int64_t ky = 0; ky < window_.kernel.height; ++ky) {
      for (int64_t kx = 0; kx < window_.kernel.width; kx += joined) {
        const int64_t x = kx * window_.dilation.width - window_.padding.width;
        const int64_t last = (output_.width - 1) * window_.stride.width + x;
        taps_.push_back(
            {.offset = (ky * window_.dilation.height - window_.padding.height) * read_.row_bytes() +
                       x * read_.pixel_bytes,
             .ky = ky,
             .values = joined * channels,
             .weight = (ky * window_.kernel.width + kx) * channels,
             .skips_first = x < 0,
             .skips_last = last >= read_.width});
      }
    }
  }

  /// Whether the weights are two bits and words that end within a tap, where the weights must be 0, have that
  /// weight.
  bool takes_crumbs() const {
    const bool whole_words =
        std::ranges::all_of(taps_, [&](const Tap& tap) { return tap.values % word_values() == 0; });
    return kernels_.byte_codes && plan_.form.words == Words::kU8 && plan_.form.shape == 1 &&
           node_.filters.format.bits_per_weight() == 2 &&
           (whole_words || node_.filters.format.method == ShiftMethod::kPs);
  }

  /// Rows of outputs whose windows lack the same rows of taps.
  void classify_rows() {
    for (const TapRange& rows : row_taps(window_, output_.height, read_.height)) {
      auto found = std::ranges::find(classes_, rows);
      if (found == classes_.end()) found = classes_.insert(found, rows);
      plan_.row_classes.push_back(static_cast<int>(found - classes_.begin()));
    }
  }

  void list_passes() {
    if (largest_sum() * largest_value() <= std::numeric_limits<int32_t>::max()) {
      Pass whole;
      for (size_t tap = 0; tap < taps_.size(); ++tap) {
        whole.pieces.push_back({.tap = tap, .first = 0, .values = taps_[tap].values});
      }
      passes_.push_back(std::move(whole));
      return;
    }
    // In either plane a pass takes more of the window, but all of it is read twice.
    for (const Plane plane : {Plane::kLow, Plane::kHigh}) {
      std::ranges::move(*passes_of(plane), std::back_inserter(passes_));
    }
    std::optional<std::vector<Pass>> undivided = passes_of(Plane::kAll);
    if (undivided && cost(*undivided) < cost(passes_)) passes_ = std::move(*undivided);
  }

  /// In words.
  int64_t cost(const std::vector<Pass>& passes) const {
    int64_t words = static_cast<int64_t>(passes.size()) * kPassWords;
    for (const Pass& pass : passes) {
      for (const Piece& piece : pass.pieces) words += chunk_count(piece.values, word_values());
    }
    return words;
  }

  /// As few passes as the weights allow, in the order of the taps; none where a piece alone exceeds 32 bits,
  /// which in the low and high planes none does.
  std::optional<std::vector<Pass>> passes_of(Plane plane) const {
    Pass pass{.shift = plane == Plane::kHigh ? kPlaneBits : 0, .plane = plane};
    std::vector<Pass> passes;
    std::vector<int64_t> sums(static_cast<size_t>(node_.filters.shape[0]), 0);  // of magnitudes, by output
    for (size_t tap = 0; tap < taps_.size(); ++tap) {
      const int64_t step = kPieceWords * word_values();
      for (int64_t first = 0; first < taps_[tap].values; first += step) {
        const Piece piece{.tap = tap, .first = first, .values = std::min(step, taps_[tap].values - first)};
        const std::vector<int64_t> added = magnitudes(piece, plane);
        if (std::ranges::max(added) == 0) continue;
        if (std::ranges::max(added) * largest_value() > std::numeric_limits<int32_t>::max()) return {};
        for (size_t o = 0; o < sums.size(); ++o) sums[o] += added[o];
        if (std::ranges::max(sums) * largest_value() > std::numeric_limits<int32_t>::max()) {
          if (!pass.pieces.empty()) passes.push_back(pass);
          pass.pieces.clear();
          sums = added;
        }
        pass.pieces.push_back(piece);
      }
    }
    if (!pass.pieces.empty()) passes.push_back(pass);
    return passes;
  }

  int64_t largest_value() const { return form_.offset ? 255 : std::max(-input_.low, input_.high); }

  /// The sum of the magnitudes of a weight's parts: of 7, which is read as 8 - 1, it is 9.
  int64_t reach(int32_t weight) const {
    int64_t sum = 0;
    while (weight != 0) {
      const int32_t part = packer().part_of(weight);
      sum += std::abs(part);
      weight -= part;
    }
    return sum;
  }

  /// Of one filter.
  int64_t largest_sum() const {
    int64_t largest = 0;
    for (size_t first = 0; first < weights_.size(); first += static_cast<size_t>(row_)) {
      int64_t sum = 0;
      for (size_t i = 0; i < static_cast<size_t>(row_); ++i) sum += reach(weights_[first + i]);
      largest = std::max(largest, sum);
    }
    return largest;
  }

  /// The sum of the piece's magnitudes in each output.
  std::vector<int64_t> magnitudes(const Piece& piece, Plane plane) const {
    std::vector<int64_t> sums(static_cast<size_t>(node_.filters.shape[0]), 0);
    for (size_t o = 0; o < sums.size(); ++o) {
      for (int64_t i = 0; i < piece.values; ++i) {
        sums[o] += reach(in_plane(weight(static_cast<int64_t>(o), piece, i), plane));
      }
    }
    return sums;
  }

  int32_t weight(int64_t output, const Piece& piece, int64_t i) const {
    return weights_[static_cast<size_t>(output * row_ + taps_[piece.tap].weight + piece.first + i)];
  }

  void add_panel(int64_t group, int64_t first_output, int64_t outputs) {
    FilterPanel panel{.first_output = first_output,
                      .outputs = outputs,
                      .input_offset = group * node_.filters.shape[-1] * value_bytes(),
                      .weights = static_cast<int64_t>(packed_.size())};
    if (node_.kind == NodeKind::kLinear) panel.input_offset = 0;
    if (form_.offset) panel.start = offset_start(first_output, outputs);
    for (const Pass& pass : passes_) panel.runs.push_back(add_runs(pass, panel));
    plan_.panels.push_back(std::move(panel));
  }

  /// The values are 128 too large: so much less to begin with.
  std::vector<int32_t> offset_start(int64_t first_output, int64_t outputs) const {
    std::vector<int32_t> start(static_cast<size_t>(plan_.panel_outputs), 0);
    for (int64_t o = 0; o < outputs; ++o) {
      int32_t sum = 0;
      for (int64_t i = 0; i < row_; ++i) sum += weights_[static_cast<size_t>((first_output + o) * row_ + i)];
      start[static_cast<size_t>(o)] = -128 * sum;
    }
    return start;
  }

  /// What the panel's outputs have for each value, part by part: the first run takes all of the piece, the
  /// next ones what is left.
  PassRuns add_runs(const Pass& pass, const FilterPanel& panel) {
    PassRuns runs;
    std::vector<int64_t> ends(static_cast<size_t>(window_.kernel.height), 0);  // of the runs of a row of taps
    for (const Piece& piece : pass.pieces) {
      std::vector<int32_t> rest(static_cast<size_t>(piece.values * panel.outputs));
      for (int64_t o = 0; o < panel.outputs; ++o) {
        for (int64_t i = 0; i < piece.values; ++i) {
          rest[static_cast<size_t>(o * piece.values + i)] =
              in_plane(weight(panel.first_output + o, piece, i), pass.plane);
        }
      }
      int64_t first = 0;
      int64_t end = piece.values;
      while (first < end) {
        const std::vector<int32_t> part = take_part(rest);
        add_run(piece, part, first, end, panel, runs);
        std::tie(first, end) = range_of(rest, piece.values);
        first -= first % word_values();
      }
      ends[static_cast<size_t>(taps_[piece.tap].ky)] = static_cast<int64_t>(runs.variants.front().size());
    }
    runs.stretches = stretches_of(std::move(ends));
    return runs;
  }

  /// Pieces are in the order of the taps, whose rows follow each other; a row of zeros has none.
  std::vector<Range> stretches_of(std::vector<int64_t> ends) const {
    for (size_t row = 1; row < ends.size(); ++row) ends[row] = std::max(ends[row], ends[row - 1]);
    const auto before = [&](int64_t row) { return row == 0 ? 0 : ends[static_cast<size_t>(row - 1)]; };
    std::vector<Range> stretches;
    for (const TapRange& rows : classes_) {
      stretches.push_back({.begin = before(rows.begin), .end = before(rows.end)});
    }
    return stretches;
  }

  /// As much of each weight as a kernel's has.
  std::vector<int32_t> take_part(std::vector<int32_t>& rest) const {
    std::vector<int32_t> part(rest.size());
    for (size_t i = 0; i < rest.size(); ++i) {
      part[i] = packer().part_of(rest[i]);
      rest[i] -= part[i];
    }
    return part;
  }

  /// The first of the values that have a weight other than 0 in any output, and the one behind the last.
  static std::pair<int64_t, int64_t> range_of(const std::vector<int32_t>& weights, int64_t values) {
    int64_t first = values;
    int64_t end = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      const int64_t value = static_cast<int64_t>(i) % values;
      first = std::min(first, value);
      end = std::max(end, value + 1);
    }
    return {std::min(first, end), end};
  }

  /// Values [first, end) of a piece, with weights [outputs][values of the piece].
  void add_run(const Piece& piece, const std::vector<int32_t>& weights, int64_t first, int64_t end,
               const FilterPanel& panel, PassRuns& runs) {
    const Tap& tap = taps_[piece.tap];
    PackedRun run{.offset = tap.offset + (piece.first + first) * value_bytes(),
                  .words = 0,
                  .weights = static_cast<int64_t>(packed_.size()) - panel.weights,
                  .skips_first = false,
                  .skips_last = false};
    run.words = packer().pack({.weights = weights.data(),
                               .outputs = panel.outputs,
                               .pitch = piece.values,
                               .first = first,
                               .end = end},
                              packed_);
    for (size_t variant = 0; variant < runs.variants.size(); ++variant) {
      run.skips_first = tap.skips_first && (variant & 1) != 0;
      run.skips_last = tap.skips_last && (variant & 2) != 0;
      runs.variants[variant].push_back(run);
    }
  }

  const Node& node_;
  const Node& input_;
  const FilterInput& form_;
  const Place& read_;
  const PackedKernels& kernels_;
  const Window window_;  // on what is read
  const Size2d output_;
  const std::vector<int32_t> weights_;
  const int64_t row_;  // weights of a filter
  std::vector<Tap> taps_;
  std::vector<TapRange> classes_;  // rows of taps within the image
  std::vector<Pass> passes_;
  std::vector<uint8_t> packed_;
  FilterPlan plan_;
};

}  // namespace

FilterPlan plan_filters(const Node& node, const Node& input, const FilterInput& form, const Place& read,
                        const PackedKernels& kernels) {
  return FilterPlanner(node, input, form, read, kernels).plan();
}

}  // namespace ds::infer
