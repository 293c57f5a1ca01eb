#include "infer/integer_net.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

#include "core/error.h"
#include "infer/integer_net_check.h"

namespace ds::infer {
namespace {

struct KindName {
  NodeKind kind;
  std::string_view name;
};
constexpr std::array<KindName, 12> kKindNames = {{{NodeKind::kInput, "input"},
                                                  {NodeKind::kConv2d, "conv2d"},
                                                  {NodeKind::kLinear, "linear"},
                                                  {NodeKind::kScale, "scale"},
                                                  {NodeKind::kAvgPool2d, "avg_pool2d"},
                                                  {NodeKind::kAdd, "add"},
                                                  {NodeKind::kMaxPool2d, "max_pool2d"},
                                                  {NodeKind::kSubsample2d, "subsample2d"},
                                                  {NodeKind::kPadChannels, "pad_channels"},
                                                  {NodeKind::kConcat, "concat"},
                                                  {NodeKind::kClamp, "clamp"},
                                                  {NodeKind::kFlatten, "flatten"}}};

/// Layer by layer: what an inspector wants to see in one line.
std::string describe(const Node& node, const NodeBounds& bounds) {
  std::string text = fmt::format("{:<28} {:<12} {:<16} {:<7}", node.place, name_of(node.kind),
                                 node.shape.str(), node.format.str());
  if (node.filtered()) {
    text += fmt::format(" {} {} bits, {}", name_of(node.filters.format.method),
                        node.filters.format.bits_str(), node.filters.shape.str());
  }
  if (node.rescaled()) {
    text += fmt::format(" sums {} bits, rescaling {} bits", bounds.accumulator.bits(),
                        bounds.intermediate.bits());
    if (node.rescale.pre_shift > 0) text += fmt::format(" after >> {}", node.rescale.pre_shift);
  }
  if (node.shortcut >= 0) text += fmt::format(" + node {}", node.shortcut);
  return text;
}

}  // namespace

int64_t Format::lowest() const {
  switch (type) {
    case DType::kU8: return 0;
    case DType::kI8: return std::numeric_limits<int8_t>::min();
    case DType::kI16: return std::numeric_limits<int16_t>::min();
    default: return std::numeric_limits<int32_t>::min();
  }
}

int64_t Format::highest() const {
  switch (type) {
    case DType::kU8: return std::numeric_limits<uint8_t>::max();
    case DType::kI8: return std::numeric_limits<int8_t>::max();
    case DType::kI16: return std::numeric_limits<int16_t>::max();
    default: return std::numeric_limits<int32_t>::max();
  }
}

std::string Format::str() const { return fmt::format("{} F{}", ds::name_of(type), fraction_bits); }

std::string_view name_of(NodeKind kind) { return std::ranges::find(kKindNames, kind, &KindName::kind)->name; }

NodeKind parse_node_kind(std::string_view text) {
  const auto* found = std::ranges::find(kKindNames, text, &KindName::name);
  DS_CHECK(found != kKindNames.end(), "[integer_net] kind of node is \"{}\", expected one like \"conv2d\"",
           text);
  return found->kind;
}

std::vector<std::vector<int32_t>> Filters::terms() const {
  const float unit = std::ldexp(1.0F, -format.range().p_min);
  std::vector<std::vector<int32_t>> result;
  for (const std::vector<float>& terms : unpack_terms(codes, shape.numel(), format)) {
    std::vector<int32_t>& integers = result.emplace_back(terms.size());
    std::ranges::transform(terms, integers.begin(),
                           [unit](float term) { return static_cast<int32_t>(term * unit); });
  }
  return result;
}

std::vector<int32_t> Filters::integers() const {
  const std::vector<std::vector<int32_t>> all = terms();
  std::vector<int32_t> result = all.front();
  if (all.size() == 2) std::ranges::transform(result, all.back(), result.begin(), std::plus<>());
  return result;
}

int64_t Filters::largest_sum() const {
  const std::vector<int32_t> weights = integers();
  const size_t row = weights.size() / static_cast<size_t>(shape[0]);
  int64_t largest = 0;
  for (size_t first = 0; first < weights.size(); first += row) {
    int64_t sum = 0;
    for (size_t i = 0; i < row; ++i) sum += std::abs(weights[first + i]);
    largest = std::max(largest, sum);
  }
  return largest;
}

int Interval::bits() const {
  const auto magnitude = [](int64_t value) { return static_cast<uint64_t>(value < 0 ? ~value : value); };
  return 1 + std::bit_width(std::max(magnitude(low), magnitude(high)));
}

IntegerNet::IntegerNet(std::vector<Node> nodes) : nodes_(std::move(nodes)) {
  DS_CHECK(!nodes_.empty(), "[integer_net] no nodes, expected an input at least");
  bounds_.reserve(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) bounds_.push_back(check_node(nodes_, i));
}

std::vector<int> IntegerNet::last_uses() const {
  std::vector<int> last(nodes_.size());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto reader = static_cast<int>(i);
    last[i] = reader;
    for (const int input : nodes_[i].inputs) last[static_cast<size_t>(input)] = reader;
    if (nodes_[i].shortcut >= 0) last[static_cast<size_t>(nodes_[i].shortcut)] = reader;
  }
  last.back() = static_cast<int>(nodes_.size());
  return last;
}

Tensor IntegerNet::results_for(const Tensor& images) const {
  DS_CHECK(images.dtype() == DType::kU8 && images.rank() == 4 && images.size(0) >= 1 &&
               Shape(images.shape().sizes().subspan(1)) == input(),
           "[integer_net] images are {} {}, expected u8 [N] and {}", ds::name_of(images.dtype()),
           images.shape().str(), input().str());
  std::vector<int64_t> sizes = {images.size(0)};
  const auto of_one = result().shape.sizes();
  sizes.insert(sizes.end(), of_one.begin(), of_one.end());
  return Tensor::empty(Shape(sizes), DType::kI32);
}

void widen(DType type, const void* values, int64_t count, int32_t* results) {
  switch (type) {
    case DType::kU8: std::copy_n(static_cast<const uint8_t*>(values), count, results); break;
    case DType::kI8: std::copy_n(static_cast<const int8_t*>(values), count, results); break;
    case DType::kI16: std::copy_n(static_cast<const int16_t*>(values), count, results); break;
    default: std::copy_n(static_cast<const int32_t*>(values), count, results); break;
  }
}

int64_t IntegerNet::bytes() const {
  int64_t total = 0;
  for (const Node& node : nodes_) {
    const auto channels = static_cast<int64_t>(node.rescale.multiplier.size());
    total += static_cast<int64_t>(node.filters.codes.size()) +
             channels * static_cast<int64_t>(sizeof(int32_t) + sizeof(int64_t) + sizeof(int8_t));
  }
  return total;
}

std::string IntegerNet::str() const {
  std::string text;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    text += fmt::format("{:3}  {}\n", i, describe(nodes_[i], bounds_[i]));
  }
  return text;
}

}  // namespace ds::infer
