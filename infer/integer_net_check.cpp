#include "infer/integer_net_check.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "infer/rescale_width.h"

namespace ds::infer {
namespace {

constexpr int kMaxShift = 62;
constexpr int64_t kMaxSum = int64_t{1} << 62;
constexpr int64_t kMaxSide = int64_t{1} << 20;      // of images, windows, strides: products stay in int64
constexpr int64_t kMaxElements = int64_t{1} << 26;  // of one image's tensor
constexpr int64_t kMaxKernel = 256;                 // of filters
constexpr int64_t kMaxWindow = 8192;                // of pooling

/// Room for every product and sum of what a node may hold: 32-bit multipliers times sums of 62 bits.
using Wide = __int128;
struct WideInterval {
  Wide low = 0;
  Wide high = 0;
};

Wide half(int shift) { return shift > 0 ? Wide{1} << (shift - 1) : 0; }

class NodeChecker {
 public:
  NodeChecker(std::vector<Node>& nodes, size_t index) : nodes_(nodes), index_(index), node_(nodes[index]) {}

  NodeBounds check() {
    check_inputs();
    check_format();
    require_shape(expected_shape());
    if (moves_values(node_.kind)) pass_range();
    require(node_.low <= 0 && node_.high >= 0 && node_.low >= node_.format.lowest() &&
                node_.high <= node_.format.highest(),
            "values from {} to {}, expected 0 within and the range of {}", node_.low, node_.high,
            node_.format.str());
    if (node_.kind == NodeKind::kAdd) check_addition();
    if (!node_.rescaled()) return {};
    return check_sums();
  }

 private:
  template <class... Args>
  void require(bool condition, fmt::format_string<Args...> format, Args&&... args) const {
    if (!condition) refuse(fmt::format(format, std::forward<Args>(args)...));
  }

  [[noreturn]] void refuse(std::string_view what) const {
    fail("[integer_net] node {} ({} \"{}\"): {}", index_, name_of(node_.kind), node_.place, what);
  }

  const Node& input(size_t i = 0) const { return nodes_[static_cast<size_t>(node_.inputs[i])]; }
  const Node& shortcut() const { return nodes_[static_cast<size_t>(node_.shortcut)]; }

  void check_inputs() const {
    require((node_.kind == NodeKind::kInput) == (index_ == 0),
            "stands at {}, expected the input first and only there", index_);
    size_t least = 1;
    if (node_.kind == NodeKind::kInput) least = 0;
    if (node_.kind == NodeKind::kAdd) least = 2;
    const bool fits = node_.kind == NodeKind::kConcat ? !node_.inputs.empty() : node_.inputs.size() == least;
    require(fits, "{} inputs, expected {}", node_.inputs.size(), least);
    for (const int node : node_.inputs) {
      require(node >= 0 && static_cast<size_t>(node) < index_, "input {} is no earlier node", node);
    }
    const bool adds = node_.filtered() || node_.kind == NodeKind::kScale;
    require(
        node_.shortcut == -1 || (adds && node_.shortcut >= 0 && static_cast<size_t>(node_.shortcut) < index_),
        "shortcut {}, expected an earlier node, and that of a convolution, linear layer or scale",
        node_.shortcut);
  }

  void check_format() const {
    const Format& format = node_.format;
    require(format.type == DType::kU8 || format.type == DType::kI8 || format.type == DType::kI16 ||
                format.type == DType::kI32,
            "values are {}, expected u8, i8, i16 or i32", ds::name_of(format.type));
    require(format.fraction_bits >= -kMaxShift && format.fraction_bits <= kMaxShift,
            "{} fraction bits, expected at most {}", format.fraction_bits, kMaxShift);
    const bool moves_results = node_.kind == NodeKind::kClamp || node_.kind == NodeKind::kFlatten;
    require(format.type != DType::kI32 || node_.rescaled() || moves_results,
            "values are i32, which results alone are");
    const bool computes = !moves_values(node_.kind) && node_.kind != NodeKind::kClamp;
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      if (computes) {
        require(input(i).format.type != DType::kI32, "input {} has values of 32 bits, expected 8 or 16",
                node_.inputs[i]);
      } else {
        require(input(i).format == format, "values are {}, those of input {} {}, expected the same",
                format.str(), node_.inputs[i], input(i).format.str());
      }
    }
  }

  void require_shape(const Shape& expected) const {
    require(node_.shape == expected, "shape {}, expected {}", node_.shape.str(), expected.str());
    require(node_.shape.numel() >= 1 && node_.shape.numel() <= kMaxElements,
            "shape {}, expected 1 to {} elements", node_.shape.str(), kMaxElements);
  }

  const Shape& image(size_t i = 0) const {
    require(input(i).shape.rank() == 3, "input has shape {}, expected H,W,C", input(i).shape.str());
    return input(i).shape;
  }

  Shape expected_shape() const {
    switch (node_.kind) {
      case NodeKind::kInput:
        require(node_.shape.rank() == 3, "shape {}, expected H,W,C", node_.shape.str());
        return node_.shape;
      case NodeKind::kConv2d: return convolution_shape();
      case NodeKind::kLinear:
        require(input().shape.rank() == 1 && node_.filters.shape.rank() == 2 &&
                    node_.filters.shape[1] == input().shape[0],
                "weight has shape {}, input {}, expected O,I and I", node_.filters.shape.str(),
                input().shape.str());
        return {node_.filters.shape[0]};
      case NodeKind::kAvgPool2d:
      case NodeKind::kMaxPool2d: return pool_shape();
      case NodeKind::kSubsample2d: return window_shape(1, node_.stride, 0, 1, image()[2]);
      case NodeKind::kPadChannels: {
        const auto& [before, after] = node_.padding;
        require(before >= 0 && after >= 0 && before <= kMaxSide && after <= kMaxSide,
                "{} and {} channels of padding, expected 0 to {}", before, after, kMaxSide);
        return image().with(2, image()[2] + before + after);
      }
      case NodeKind::kConcat: return concat_shape();
      case NodeKind::kFlatten: return {input().shape.numel()};
      case NodeKind::kAdd:
        require(input(1).shape == input(0).shape, "inputs have shapes {} and {}, expected the same",
                input(0).shape.str(), input(1).shape.str());
        return input().shape;
      case NodeKind::kScale:
      case NodeKind::kClamp: return input().shape;
    }
    return {};
  }

  Shape pool_shape() const {
    const Pool2dOptions& pool = node_.pool;
    check_window(pool.kernel, pool.stride, pool.padding, 1);
    require(pool.kernel.height <= kMaxWindow && pool.kernel.width <= kMaxWindow,
            "a window of {}x{}, expected at most {}", pool.kernel.height, pool.kernel.width, kMaxWindow);
    require(pool.padding.height < pool.kernel.height && pool.padding.width < pool.kernel.width,
            "padding {}x{} with a window of {}x{}, expected less", pool.padding.height, pool.padding.width,
            pool.kernel.height, pool.kernel.width);
    const Shape& x = image();
    return image_shape(window_counts({x[0], x[1]}, pool), x[2]);
  }

  /// Of an image. What int64 cannot count must be named here: a Shape cannot say whose it is.
  Shape image_shape(Size2d size, int64_t channels) const {
    require(Wide{size.height} * size.width * channels <= kMaxElements,
            "{}x{} outputs of {} channels, expected at most {} elements", size.height, size.width, channels,
            kMaxElements);
    return {size.height, size.width, channels};
  }

  void check_window(Size2d kernel, Size2d stride, Size2d padding, Size2d dilation) const {
    for (const Size2d& size : {kernel, stride, dilation}) {
      require(size.height >= 1 && size.width >= 1 && size.height <= kMaxSide && size.width <= kMaxSide,
              "a window, stride or dilation of {}x{}, expected 1 to {}", size.height, size.width, kMaxSide);
    }
    require(
        padding.height >= 0 && padding.width >= 0 && padding.height <= kMaxSide && padding.width <= kMaxSide,
        "padding {}x{}, expected 0 to {}", padding.height, padding.width, kMaxSide);
  }

  Shape window_shape(Size2d kernel, Size2d stride, Size2d padding, Size2d dilation, int64_t channels) const {
    check_window(kernel, stride, padding, dilation);
    const Shape& x = image();
    return image_shape({window_count(x[0], kernel.height, stride.height, padding.height, dilation.height),
                        window_count(x[1], kernel.width, stride.width, padding.width, dilation.width)},
                       channels);
  }

  Shape convolution_shape() const {
    const Shape& w = node_.filters.shape;
    const Conv2dOptions& options = node_.convolution;
    require(w.rank() == 4 && options.groups >= 1 && w[3] >= 1 && w[0] % options.groups == 0 &&
                image()[2] / options.groups == w[3] && image()[2] % options.groups == 0,
            "weight has shape {}, input {}, in {} groups, expected O,kh,kw,I/groups", w.str(),
            input().shape.str(), options.groups);
    require(w[1] <= kMaxKernel && w[2] <= kMaxKernel, "filters of {}x{}, expected at most {}", w[1], w[2],
            kMaxKernel);
    const Shape y = window_shape({w[1], w[2]}, options.stride, options.padding, options.dilation, w[0]);
    const Shape& x = image();
    const Wide bordered =
        (Wide{x[0]} + 2 * options.padding.height) * (x[1] + 2 * options.padding.width) * x[2];
    require(bordered <= kMaxElements, "padding {}x{} around {}, expected at most {} elements in all",
            options.padding.height, options.padding.width, x.str(), kMaxElements);
    return y;
  }

  Shape concat_shape() const {
    int64_t channels = 0;
    for (size_t i = 0; i < node_.inputs.size(); ++i) {
      const Shape& x = input(i).shape;
      require(x.rank() == input(0).shape.rank() && x.with(-1, 1) == input(0).shape.with(-1, 1),
              "inputs have shapes {} and {}, expected the same but for the channels", input(0).shape.str(),
              x.str());
      channels += x[-1];
    }
    return input().shape.with(-1, channels);
  }

  void pass_range() {
    const Interval range = range_of_inputs(nodes_, node_);
    node_.low = range.low;
    node_.high = range.high;
  }

  /// Both operands at the most fraction bits must fit 62 bits.
  void check_addition() const {
    const int fraction =
        std::max({input(0).format.fraction_bits, input(1).format.fraction_bits, node_.format.fraction_bits});
    for (size_t i = 0; i < 2; ++i) {
      const int left = fraction - input(i).format.fraction_bits;
      require(left <= 40, "input {} is shifted by {} bits, expected at most 40", node_.inputs[i], left);
    }
    require(fraction - node_.format.fraction_bits <= 40, "the sum is shifted by {} bits, expected at most 40",
            fraction - node_.format.fraction_bits);
  }

  NodeBounds check_sums() {
    check_rescale();
    const auto channels = static_cast<size_t>(node_.shape[-1]);
    const std::vector<WideInterval> sums = accumulators(channels);
    NodeBounds bounds;
    for (size_t c = 0; c < channels; ++c) {
      widen(bounds.accumulator, sums[c], "sum");
      widen(bounds.intermediate, before_last_shift(sums[c], c), "rescaled sum");
    }
    return bounds;
  }

  void check_rescale() const {
    const Rescale& rescale = node_.rescale;
    const auto channels = static_cast<size_t>(node_.shape[-1]);
    require(rescale.multiplier.size() == channels && rescale.addend.size() == channels &&
                rescale.shift.size() == channels,
            "{} multipliers, {} addends, {} shifts, expected {} of each", rescale.multiplier.size(),
            rescale.addend.size(), rescale.shift.size(), channels);
    require(rescale.pre_shift >= 0 && rescale.pre_shift <= kMaxShift, "first shift {}, expected 0 to {}",
            rescale.pre_shift, kMaxShift);
    if (node_.shortcut >= 0) {
      require(shortcut().shape == node_.shape && shortcut().format.type != DType::kI32,
              "shortcut is {} of {}, expected {} of 8 or 16 bits", shortcut().shape.str(),
              shortcut().format.str(), node_.shape.str());
    }
    for (size_t c = 0; c < channels; ++c) {
      const int k = rescale.shift[c];
      require(k >= 0 && k <= kMaxShift, "shift of channel {} is {}, expected 0 to {}", c, k, kMaxShift);
      require(rescale.addend[c] >= -kMaxSum && rescale.addend[c] <= kMaxSum,
              "addend of channel {} is {}, expected at most 2^62", c, rescale.addend[c]);
      if (node_.shortcut >= 0) {
        const int j = shortcut_shift(node_, shortcut().format, c);
        require(j >= 0 && j <= kMaxShift,
                "the shortcut is shifted by {} bits in channel {}, expected 0 to {}", j, c, kMaxShift);
      }
    }
  }

  std::vector<WideInterval> accumulators(size_t channels) const {
    if (node_.filtered()) return filter_sums(channels);
    if (node_.kind == NodeKind::kInput) return std::vector<WideInterval>(channels, {0, 255});
    const Wide count =
        node_.kind == NodeKind::kAvgPool2d ? Wide{node_.pool.kernel.height} * node_.pool.kernel.width : 1;
    return std::vector<WideInterval>(channels, {count * input().low, count * input().high});
  }

  /// Zeros are within the range of the input: a window at the border has fewer terms.
  std::vector<WideInterval> filter_sums(size_t channels) const {
    const Filters& filters = node_.filters;
    require(filters.format.bits >= kMinWeightBits && filters.format.bits <= kMaxPackedBits,
            "weights of {} bits, expected {} to {}", filters.format.bits, kMinWeightBits, kMaxPackedBits);
    require(filters.format.terms == 1 || filters.format.terms == 2, "weights of {} terms, expected 1 or 2",
            filters.format.terms);
    require(filters.shape.numel() / 8 <= static_cast<int64_t>(filters.codes.size()),
            "weight has shape {}, but there are {} bytes of codes", filters.shape.str(),
            filters.codes.size());
    const std::vector<int32_t> weights = integers_of(filters);
    std::vector<WideInterval> sums(channels);
    const size_t row = weights.size() / channels;
    for (size_t i = 0; i < weights.size(); ++i) {
      const Wide w = weights[i];
      WideInterval& sum = sums[i / row];
      sum.high += w > 0 ? w * input().high : w * input().low;
      sum.low += w > 0 ? w * input().low : w * input().high;
    }
    return sums;
  }

  /// Codes that do not fit are an error of the format, which does not know whose they are.
  std::vector<int32_t> integers_of(const Filters& filters) const {
    try {
      return filters.integers();
    } catch (const Error& error) {
      refuse(error.what());
    }
  }

  /// Its partial sums, in any order: each term counts where it reaches further from 0.
  WideInterval before_last_shift(const WideInterval& sum, size_t c) const {
    const Rescale& rescale = node_.rescale;
    const Wide first_half = half(rescale.pre_shift);
    const Wide m = rescale.multiplier[c];
    const Wide low = ((sum.low + first_half) >> rescale.pre_shift) * m;
    const Wide high = ((sum.high + first_half) >> rescale.pre_shift) * m;
    WideInterval total;
    add_term(std::min(low, high), std::max(low, high), total);
    add_term(rescale.addend[c], rescale.addend[c], total);
    add_term(0, half(rescale.shift[c]), total);
    if (node_.shortcut >= 0) {
      const int j = shortcut_shift(node_, shortcut().format, c);
      add_term(Wide{shortcut().low} << j, Wide{shortcut().high} << j, total);
    }
    return total;
  }

  static void add_term(Wide low, Wide high, WideInterval& total) {
    total.low += std::min<Wide>(low, 0);
    total.high += std::max<Wide>(high, 0);
  }

  void widen(Interval& all, const WideInterval& one, const char* what) const {
    require(one.low >= -Wide{kMaxSum} && one.high <= Wide{kMaxSum}, "a {} can leave 63 bits", what);
    all.low = std::min(all.low, static_cast<int64_t>(one.low));
    all.high = std::max(all.high, static_cast<int64_t>(one.high));
  }

  std::vector<Node>& nodes_;
  size_t index_;
  Node& node_;
};

}  // namespace

bool moves_values(NodeKind kind) {
  switch (kind) {
    case NodeKind::kMaxPool2d:
    case NodeKind::kSubsample2d:
    case NodeKind::kPadChannels:
    case NodeKind::kConcat:
    case NodeKind::kFlatten: return true;
    default: return false;
  }
}

Interval range_of_inputs(const std::vector<Node>& nodes, const Node& node) {
  Interval range;
  for (const int input : node.inputs) {
    range.low = std::min(range.low, nodes[static_cast<size_t>(input)].low);
    range.high = std::max(range.high, nodes[static_cast<size_t>(input)].high);
  }
  return range;
}

NodeBounds check_node(std::vector<Node>& nodes, size_t index) { return NodeChecker(nodes, index).check(); }

}  // namespace ds::infer
