#include "tests/infer/random_nets.h"

#include <algorithm>
#include <cmath>

#include "infer/multiplier.h"

namespace ds::test {

using infer::Node;
using infer::NodeKind;

RandomNet::RandomNet(uint64_t seed, int most_terms) : generator_(seed), most_terms_(most_terms) {
  add_input();
  for (int64_t count = between(2, 6); count > 0; --count) add_random();
  add_end();
}

Tensor RandomNet::images(int64_t count) {
  const Shape& image = node(0).shape;
  Tensor result = Tensor::empty({count, image[0], image[1], image[2]}, DType::kU8);
  for (uint8_t& pixel : result.span<uint8_t>()) pixel = static_cast<uint8_t>(between(0, 255));
  return result;
}

int64_t RandomNet::between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(generator_.below(static_cast<uint32_t>(high - low + 1)));
}

int RandomNet::random_image() {
  const int last = static_cast<int>(nodes_.size()) - 1;
  return chance(60) ? last : static_cast<int>(between(0, last));
}

void RandomNet::add(Node node) {
  node.place = fmt::format("n{}", nodes_.size());
  nodes_.push_back(std::move(node));
}

void RandomNet::set_format(Node& node) {
  constexpr DType kTypes[] = {DType::kU8, DType::kI8, DType::kI16};
  node.format = {.type = kTypes[between(0, 2)], .fraction_bits = static_cast<int>(between(-2, 8))};
  node.low = chance(40) ? 0 : node.format.lowest();
  node.high = chance(70) ? node.format.highest() : between(1, node.format.highest());
}

void RandomNet::set_filters(Node& node, const Shape& shape) {
  node.filters.format = {.method = chance(50) ? ShiftMethod::kQ : ShiftMethod::kPs,
                         .bits = static_cast<int>(between(2, 5))};
  if (most_terms_ > 1 && chance(30)) node.filters.format.terms = 2;
  node.filters.shape = shape;
  const int p_min = node.filters.format.range().p_min;
  std::vector<float> weights(static_cast<size_t>(shape.numel()));
  for (float& w : weights) {
    for (int term = 0; term < node.filters.format.terms; ++term) {
      if (node.filters.format.method == ShiftMethod::kPs && chance(10)) continue;
      // Mostly as trained weights are, which seldom are 1.
      const int64_t p = chance(10) ? between(p_min, 0) : between(p_min, std::min(p_min + 3, 0));
      w += std::ldexp(chance(50) ? 1.0F : -1.0F, static_cast<int>(p));
    }
  }
  node.filters.codes = pack(weights, node.filters.format);
}

/// So that outputs fill their range, and some leave it.
void RandomNet::set_rescale(Node& node, double typical_sum) {
  if (chance(30)) node.rescale.pre_shift = static_cast<int>(between(0, 4));
  const int digits = chance(80) ? static_cast<int>(between(1, 4)) : infer::kFullDigits;
  for (int64_t c = 0; c < node.shape[-1]; ++c) {
    const double range = static_cast<double>(node.format.highest());
    const double wanted = range / typical_sum * 0.01 * static_cast<double>(between(10, 200));
    const double scale = std::ldexp(chance(50) ? wanted : -wanted, node.rescale.pre_shift);
    const infer::Multiplier m = infer::nearest_multiplier(scale, digits, 0, 24);
    node.rescale.multiplier.push_back(static_cast<int32_t>(m.m));
    node.rescale.shift.push_back(m.k);
    const double offset = range * 0.01 * static_cast<double>(between(-30, 60));
    node.rescale.addend.push_back(std::llround(std::ldexp(offset, m.k)));
  }
}

void RandomNet::set_shortcut(Node& node) {
  if (!chance(40)) return;
  for (int i = static_cast<int>(nodes_.size()) - 1; i >= 0; --i) {
    const Node& other = this->node(i);
    if (other.shape != node.shape || chance(40)) continue;
    const bool aligned = std::ranges::all_of(node.rescale.shift, [&](int k) {
      const int j = k + node.format.fraction_bits - other.format.fraction_bits;
      return j >= 0 && j <= 40;
    });
    if (aligned) {
      node.shortcut = i;
      return;
    }
  }
}

void RandomNet::add_input() {
  Node node{.kind = NodeKind::kInput, .shape = {between(1, 12), between(1, 30), between(1, 20)}};
  set_format(node);
  set_rescale(node, 128.0);
  add(std::move(node));
}

void RandomNet::add_random() {
  const size_t before = nodes_.size();
  while (nodes_.size() == before) {
    switch (between(0, 13)) {
      case 0: add_pool(NodeKind::kAvgPool2d); break;
      case 1: add_pool(NodeKind::kMaxPool2d); break;
      case 2: add_scale(); break;
      case 3: add_sum(); break;
      case 4: add_subsample(); break;
      case 5: add_padding(); break;
      case 6: add_concat(); break;
      case 7: add_clamp(); break;
      case 8: add_convolution(true); break;
      default: add_convolution(false); break;
    }
  }
}

bool RandomNet::add_convolution(bool depthwise) {
  const int input = random_image();
  const Shape& x = node(input).shape;
  Node node{.kind = NodeKind::kConv2d, .inputs = {input}};
  node.convolution = {.stride = {between(1, 3), between(1, 3)},
                      .padding = {between(0, 2), between(0, 2)},
                      .dilation = {between(1, 2), between(1, 2)},
                      .groups = 1};
  Size2d kernel{between(1, 4), between(1, 4)};
  if (chance(50)) {  // as most networks have them
    const int64_t side = 2 * between(0, 2) + 1;
    kernel = side;
    node.convolution = {.stride = between(1, 2), .padding = side / 2};
  }
  if (depthwise) node.convolution.groups = x[2];
  if (!depthwise && chance(20) && x[2] % 2 == 0) node.convolution.groups = 2;
  const int64_t groups = node.convolution.groups;
  const int64_t outputs = depthwise ? x[2] : groups * between(1, chance(20) ? 90 : 40);
  const auto& [stride, padding, dilation, unused] = node.convolution;
  const int64_t height = window_count(x[0], kernel.height, stride.height, padding.height, dilation.height);
  const int64_t width = window_count(x[1], kernel.width, stride.width, padding.width, dilation.width);
  if (height < 1 || width < 1) return false;
  node.shape = {height, width, outputs};
  set_format(node);
  set_filters(node, {outputs, kernel.height, kernel.width, x[2] / groups});
  const double taps = static_cast<double>(node.filters.shape.numel()) / static_cast<double>(outputs);
  set_rescale(node, std::sqrt(taps) * 4.0 * static_cast<double>(this->node(input).high) / 2.0 + 1.0);
  set_shortcut(node);
  add(std::move(node));
  return true;
}

bool RandomNet::add_pool(NodeKind kind) {
  const int input = random_image();
  const Shape& x = node(input).shape;
  Node node{.kind = kind, .inputs = {input}};
  const Size2d kernel{between(1, 3), between(1, 3)};
  node.pool = {.kernel = kernel,
               .stride = {between(1, 2), between(1, 2)},
               .padding = {between(0, kernel.height - 1), between(0, kernel.width - 1)},
               .ceil_mode = chance(30)};
  const Size2d count = window_counts({x[0], x[1]}, node.pool);
  if (count.height < 1 || count.width < 1) return false;
  node.shape = {count.height, count.width, x[2]};
  if (kind == NodeKind::kMaxPool2d) {
    node.format = this->node(input).format;
  } else {
    set_format(node);
    set_rescale(node, static_cast<double>(this->node(input).high * kernel.height * kernel.width) / 2.0 + 1.0);
  }
  add(std::move(node));
  return true;
}

void RandomNet::add_scale() {
  const int input = random_image();
  Node node{.kind = NodeKind::kScale, .inputs = {input}, .shape = this->node(input).shape};
  set_format(node);
  set_rescale(node, static_cast<double>(this->node(input).high) / 2.0 + 1.0);
  set_shortcut(node);
  add(std::move(node));
}

bool RandomNet::add_sum() {
  const int a = random_image();
  for (int b = 0; b < static_cast<int>(nodes_.size()); ++b) {
    if (b == a || node(b).shape != node(a).shape) continue;
    Node sum{.kind = NodeKind::kAdd, .inputs = {a, b}, .shape = node(a).shape};
    set_format(sum);
    add(std::move(sum));
    return true;
  }
  return false;
}

void RandomNet::add_subsample() {
  const int input = random_image();
  const Shape& x = node(input).shape;
  Node node{.kind = NodeKind::kSubsample2d, .inputs = {input}, .format = this->node(input).format};
  node.stride = {between(1, 3), between(1, 3)};
  node.shape = {window_count(x[0], 1, node.stride.height, 0), window_count(x[1], 1, node.stride.width, 0),
                x[2]};
  add(std::move(node));
}

void RandomNet::add_padding() {
  const int input = random_image();
  Node node{.kind = NodeKind::kPadChannels, .inputs = {input}, .format = this->node(input).format};
  node.padding = {.before = between(0, 3), .after = between(0, 3)};
  const Shape& x = this->node(input).shape;
  node.shape = x.with(2, x[2] + node.padding.before + node.padding.after);
  add(std::move(node));
}

/// Of nodes that share a format: made from one another, or by chance.
bool RandomNet::add_concat() {
  const int first = random_image();
  Node node{.kind = NodeKind::kConcat,
            .inputs = {first},
            .shape = this->node(first).shape,
            .format = this->node(first).format};
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    const Node& other = this->node(i);
    if (other.format != node.format || other.shape.with(2, 1) != node.shape.with(2, 1)) continue;
    node.inputs.push_back(i);
    node.shape = node.shape.with(2, node.shape[2] + other.shape[2]);
  }
  if (node.shape[2] > 200) return false;
  add(std::move(node));
  return true;
}

void RandomNet::add_clamp() {
  const int input = random_image();
  Node node{.kind = NodeKind::kClamp,
            .inputs = {input},
            .shape = this->node(input).shape,
            .format = this->node(input).format};
  node.low = chance(50) ? 0 : node.format.lowest();
  node.high = between(0, node.format.highest());
  add(std::move(node));
}

/// A linear layer on everything, or nothing more.
void RandomNet::add_end() {
  if (chance(30)) return;
  const int last = static_cast<int>(nodes_.size()) - 1;
  const int64_t count = node(last).shape.numel();
  add({.kind = NodeKind::kFlatten, .inputs = {last}, .shape = {count}, .format = node(last).format});
  while (count <= 300 && chance(40)) add_hidden(count);
  const int features = static_cast<int>(nodes_.size()) - 1;
  Node linear{.kind = NodeKind::kLinear, .inputs = {features}, .shape = {between(1, 70)}};
  set_format(linear);
  if (chance(50)) {
    linear.format.type = DType::kI32;
    linear.low = linear.format.lowest();
    linear.high = linear.format.highest();
  }
  set_filters(linear, {linear.shape[0], count});
  if (linear.format.type == DType::kI32) {
    for (int64_t c = 0; c < linear.shape[0]; ++c) {
      linear.rescale.multiplier.push_back(static_cast<int32_t>(between(-300, 300)));
      linear.rescale.addend.push_back(between(-1'000'000, 1'000'000));
      linear.rescale.shift.push_back(0);
    }
  } else {
    set_rescale(
        linear,
        std::sqrt(static_cast<double>(count)) * 4.0 * static_cast<double>(node(features).high) / 2.0 + 1.0);
  }
  add(std::move(linear));
}

/// A linear layer between values of one size, so that it may have one of them as its shortcut.
void RandomNet::add_hidden(int64_t count) {
  const int input = static_cast<int>(nodes_.size()) - 1;
  Node hidden{.kind = NodeKind::kLinear, .inputs = {input}, .shape = {count}};
  set_format(hidden);
  set_filters(hidden, {count, count});
  const double largest = static_cast<double>(node(input).high);
  set_rescale(hidden, std::sqrt(static_cast<double>(count)) * 4.0 * largest / 2.0 + 1.0);
  set_shortcut(hidden);
  add(std::move(hidden));
}

}  // namespace ds::test
