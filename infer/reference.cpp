#include "infer/reference.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>

#include "core/error.h"
#include "core/parallel.h"
#include "infer/arithmetic.h"

namespace ds::infer {
namespace {

using Values = std::vector<int32_t>;

/// Terms s 2^(p - p_min) as the shifts that they are.
struct ShiftWeights {
  std::vector<int32_t> shift;   // p - p_min
  std::vector<int32_t> negate;  // -1 where s is -1, else 0
  std::vector<int32_t> keep;    // 0 where s is 0, else -1

  /// The sum of s (q << (p - p_min)) over `count` weights from `first` on. Without a branch, so that
  /// compilers vectorise it: (v ^ -1) - -1 is -v.
  int64_t sum(size_t first, const int32_t* q, size_t count) const {
    int64_t total = 0;
    for (size_t i = 0; i < count; ++i) {
      const int64_t shifted = int64_t{q[i]} << shift[first + i];
      const int64_t minus = negate[first + i];
      total += ((shifted ^ minus) - minus) & int64_t{keep[first + i]};
    }
    return total;
  }
};

ShiftWeights shift_weights(const std::vector<int32_t>& integers) {
  ShiftWeights result;
  for (const int32_t integer : integers) {
    const auto magnitude = static_cast<uint32_t>(std::abs(integer));
    result.shift.push_back(magnitude == 0 ? 0 : std::countr_zero(magnitude));
    result.negate.push_back(integer < 0 ? -1 : 0);
    result.keep.push_back(integer == 0 ? 0 : -1);
  }
  return result;
}

/// The terms of a node's weights.
using TermWeights = std::vector<ShiftWeights>;

/// The sum over all terms.
int64_t sum_of(const TermWeights& terms, size_t first, const int32_t* q, size_t count) {
  int64_t total = 0;
  for (const ShiftWeights& weights : terms) total += weights.sum(first, q, count);
  return total;
}

/// One image's run: the values of all nodes so far.
class ImageRun {
 public:
  ImageRun(const IntegerNet& net, const std::vector<TermWeights>& weights, const uint8_t* pixels)
      : net_(net), weights_(weights), pixels_(pixels) {
    for (size_t i = 0; i < net.nodes().size(); ++i) values_.push_back(compute(i));
  }

  const Values& result() const { return values_.back(); }
  const std::vector<Values>& values() const { return values_; }

 private:
  const Node& node(int index) const { return net_.nodes()[static_cast<size_t>(index)]; }
  const Values& value(int index) const { return values_[static_cast<size_t>(index)]; }

  Values compute(size_t index) const {
    const Node& n = net_.nodes()[index];
    switch (n.kind) {
      case NodeKind::kInput: return input(n);
      case NodeKind::kConv2d: return conv2d(n, weights_[index]);
      case NodeKind::kLinear: return linear(n, weights_[index]);
      case NodeKind::kScale: return scale(n);
      case NodeKind::kAvgPool2d: return avg_pool2d(n);
      case NodeKind::kAdd: return add(n);
      case NodeKind::kMaxPool2d: return max_pool2d(n);
      case NodeKind::kSubsample2d: return subsample2d(n);
      case NodeKind::kPadChannels: return pad_channels(n);
      case NodeKind::kConcat: return concat(n);
      case NodeKind::kClamp: return clamp(n);
      case NodeKind::kFlatten: return value(n.inputs[0]);
    }
    return {};
  }

  /// y = sat((a' m + b + (shortcut << j) + half(k)) >> k), a' = (a + half(r)) >> r, of element i.
  int32_t rescale(const Node& n, int64_t a, size_t i) const {
    const size_t channel = i % static_cast<size_t>(n.shape[-1]);
    const int k = n.rescale.shift[channel];
    int64_t sum =
        multiply_by_digits(shift_right_rounded(a, n.rescale.pre_shift), n.rescale.multiplier[channel]);
    sum += n.rescale.addend[channel];
    if (n.shortcut >= 0) {
      const int j = k + n.format.fraction_bits - node(n.shortcut).format.fraction_bits;
      sum += int64_t{value(n.shortcut)[i]} << j;
    }
    return static_cast<int32_t>(saturate(shift_right_rounded(sum, k), n.low, n.high));
  }

  Values input(const Node& n) const {
    Values y(static_cast<size_t>(n.shape.numel()));
    for (size_t i = 0; i < y.size(); ++i) y[i] = rescale(n, pixels_[i], i);
    return y;
  }

  /// Calls body(element of the window's input plane, kh kw index) for each tap inside the image.
  template <class Body>
  static void for_taps(const Shape& x, int64_t out_y, int64_t out_x, Size2d kernel, Size2d stride,
                       Size2d padding, Size2d dilation, Body&& body) {
    const int64_t top = out_y * stride.height - padding.height;
    const int64_t left = out_x * stride.width - padding.width;
    for (int64_t ky = first_tap(top, dilation.height);
         ky < end_tap(top, dilation.height, kernel.height, x[0]); ++ky) {
      for (int64_t kx = first_tap(left, dilation.width);
           kx < end_tap(left, dilation.width, kernel.width, x[1]); ++kx) {
        const int64_t in_y = top + ky * dilation.height;
        const int64_t in_x = left + kx * dilation.width;
        body((in_y * x[1] + in_x) * x[2], ky * kernel.width + kx);
      }
    }
  }

  /// The first tap, and the one behind the last, that an axis of the image has: begin + tap * dilation in [0,
  /// size).
  static int64_t first_tap(int64_t begin, int64_t dilation) {
    return begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
  }
  static int64_t end_tap(int64_t begin, int64_t dilation, int64_t taps, int64_t size) {
    return begin >= size ? 0 : std::min(taps, (size - begin + dilation - 1) / dilation);
  }

  /// Calls body(y, x, channel, element of the output) for every output.
  template <class Body>
  static void for_outputs(const Shape& y, Body&& body) {
    size_t element = 0;
    for (int64_t row = 0; row < y[0]; ++row) {
      for (int64_t column = 0; column < y[1]; ++column) {
        for (int64_t channel = 0; channel < y[2]; ++channel) body(row, column, channel, element++);
      }
    }
  }

  Values conv2d(const Node& n, const TermWeights& weights) const {
    const Values& x = value(n.inputs[0]);
    const Shape& in = node(n.inputs[0]).shape;
    const Shape& w = n.filters.shape;
    const Conv2dOptions& o = n.convolution;
    const int64_t group_outputs = w[0] / o.groups;
    Values y(static_cast<size_t>(n.shape.numel()));
    for_outputs(n.shape, [&](int64_t row, int64_t column, int64_t channel, size_t element) {
      const int64_t first_input = channel / group_outputs * w[3];
      int64_t a = 0;
      for_taps(in, row, column, {w[1], w[2]}, o.stride, o.padding, o.dilation,
               [&](int64_t pixel, int64_t tap) {
                 const auto from = static_cast<size_t>(pixel + first_input);
                 const auto filter = static_cast<size_t>((channel * w[1] * w[2] + tap) * w[3]);
                 a += sum_of(weights, filter, x.data() + from, static_cast<size_t>(w[3]));
               });
      y[element] = rescale(n, a, element);
    });
    return y;
  }

  Values linear(const Node& n, const TermWeights& weights) const {
    const Values& x = value(n.inputs[0]);
    Values y(static_cast<size_t>(n.shape.numel()));
    for (size_t o = 0; o < y.size(); ++o) {
      y[o] = rescale(n, sum_of(weights, o * x.size(), x.data(), x.size()), o);
    }
    return y;
  }

  Values scale(const Node& n) const {
    const Values& x = value(n.inputs[0]);
    Values y(x.size());
    for (size_t i = 0; i < y.size(); ++i) y[i] = rescale(n, x[i], i);
    return y;
  }

  Values avg_pool2d(const Node& n) const {
    const Values& x = value(n.inputs[0]);
    Values y(static_cast<size_t>(n.shape.numel()));
    for_outputs(n.shape, [&](int64_t row, int64_t column, int64_t channel, size_t element) {
      int64_t a = 0;
      for_taps(node(n.inputs[0]).shape, row, column, n.pool.kernel, n.pool.stride, n.pool.padding, 1,
               [&](int64_t pixel, int64_t) { a += x[static_cast<size_t>(pixel + channel)]; });
      y[element] = rescale(n, a, element);
    });
    return y;
  }

  Values max_pool2d(const Node& n) const {
    const Values& x = value(n.inputs[0]);
    Values y(static_cast<size_t>(n.shape.numel()));
    for_outputs(n.shape, [&](int64_t row, int64_t column, int64_t channel, size_t element) {
      int32_t highest = std::numeric_limits<int32_t>::min();
      for_taps(node(n.inputs[0]).shape, row, column, n.pool.kernel, n.pool.stride, n.pool.padding, 1,
               [&](int64_t pixel, int64_t) {
                 highest = std::max(highest, x[static_cast<size_t>(pixel + channel)]);
               });
      y[element] = highest;
    });
    return y;
  }

  /// Both at the most fraction bits, where the sum is exact; then one rounding.
  Values add(const Node& n) const {
    const Format& a = node(n.inputs[0]).format;
    const Format& b = node(n.inputs[1]).format;
    const int fraction = std::max({a.fraction_bits, b.fraction_bits, n.format.fraction_bits});
    Values y(static_cast<size_t>(n.shape.numel()));
    for (size_t i = 0; i < y.size(); ++i) {
      const int64_t sum = (int64_t{value(n.inputs[0])[i]} << (fraction - a.fraction_bits)) +
                          (int64_t{value(n.inputs[1])[i]} << (fraction - b.fraction_bits));
      y[i] = static_cast<int32_t>(
          saturate(shift_right_rounded(sum, fraction - n.format.fraction_bits), n.low, n.high));
    }
    return y;
  }

  Values subsample2d(const Node& n) const {
    const Values& x = value(n.inputs[0]);
    const Shape& in = node(n.inputs[0]).shape;
    Values y(static_cast<size_t>(n.shape.numel()));
    for_outputs(n.shape, [&](int64_t row, int64_t column, int64_t channel, size_t element) {
      y[element] =
          x[static_cast<size_t>((row * n.stride.height * in[1] + column * n.stride.width) * in[2] + channel)];
    });
    return y;
  }

  Values pad_channels(const Node& n) const {
    const Values& x = value(n.inputs[0]);
    const int64_t channels = node(n.inputs[0]).shape[2];
    Values y(static_cast<size_t>(n.shape.numel()), 0);
    for (size_t i = 0; i < x.size(); ++i) {
      const auto pixel = static_cast<int64_t>(i) / channels;
      const auto channel = static_cast<int64_t>(i) % channels;
      y[static_cast<size_t>(pixel * n.shape[2] + n.padding.before + channel)] = x[i];
    }
    return y;
  }

  Values concat(const Node& n) const {
    Values y(static_cast<size_t>(n.shape.numel()));
    size_t offset = 0;
    for (const int input : n.inputs) {
      const auto channels = static_cast<size_t>(node(input).shape[-1]);
      const Values& x = value(input);
      for (size_t i = 0; i < x.size(); ++i) {
        y[i / channels * static_cast<size_t>(n.shape[-1]) + offset + i % channels] = x[i];
      }
      offset += channels;
    }
    return y;
  }

  Values clamp(const Node& n) const {
    Values y = value(n.inputs[0]);
    for (int32_t& q : y) q = static_cast<int32_t>(saturate(q, n.low, n.high));
    return y;
  }

  const IntegerNet& net_;
  const std::vector<TermWeights>& weights_;
  const uint8_t* pixels_;
  std::vector<Values> values_;
};

std::vector<TermWeights> all_weights(const IntegerNet& net) {
  std::vector<TermWeights> weights;
  for (const Node& node : net.nodes()) {
    TermWeights& terms = weights.emplace_back();
    if (!node.filtered()) continue;
    for (const std::vector<int32_t>& integers : node.filters.terms())
      terms.push_back(shift_weights(integers));
  }
  return weights;
}

}  // namespace

Tensor run_reference(const IntegerNet& net, const Tensor& images) {
  Tensor y = net.results_for(images);
  const auto weights = all_weights(net);
  const int64_t outputs = net.result().shape.numel();
  parallel_chunks(images.size(0), [&](int64_t image) {
    const ImageRun run(net, weights, images.data<uint8_t>() + image * net.input().numel());
    std::copy(run.result().begin(), run.result().end(), y.data<int32_t>() + image * outputs);
  });
  return y;
}

std::vector<Tensor> trace_reference(const IntegerNet& net, const Tensor& image) {
  DS_CHECK(image.dtype() == DType::kU8 && image.shape() == net.input(),
           "[integer_net] image is {} {}, expected u8 {}", name_of(image.dtype()), image.shape().str(),
           net.input().str());
  const ImageRun run(net, all_weights(net), image.data<uint8_t>());
  std::vector<Tensor> values;
  for (size_t i = 0; i < net.nodes().size(); ++i) {
    values.push_back(Tensor::from(run.values()[i], net.nodes()[i].shape));
  }
  return values;
}

}  // namespace ds::infer
