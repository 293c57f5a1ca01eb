#include "apps/deepshift/inspect_net.h"

#include <fmt/format.h>

#include <algorithm>

#include "infer/arithmetic.h"
#include "infer/cpu/cpu_net.h"

namespace ds::apps {
namespace {

using infer::Node;

constexpr double kAddition = 0.1;         // pJ, 32 bits
constexpr double kShift = 0.13;           // pJ, 32 bits
constexpr double kMultiplication8 = 0.2;  // pJ
constexpr double kMultiplication32 = 3.1;

/// Shifts and additions of one image.
struct Work {
  int64_t terms = 0;   // of sums: a shift and an addition each
  int64_t digits = 0;  // of multipliers: likewise
  int64_t others = 0;  // additions and shifts of the rescaling, pooling and addition of stored values

  Work& operator+=(const Work& other) {
    terms += other.terms;
    digits += other.digits;
    others += other.others;
    return *this;
  }
};

/// Taps that fall into the padding count as if they did not.
Work work_of(const Node& node) {
  Work work;
  const int64_t outputs = node.shape.numel();
  const int64_t pixels = outputs / node.shape[-1];
  if (node.filtered()) {
    for (const std::vector<int32_t>& terms : node.filters.terms()) {
      work.terms += pixels * std::ranges::count_if(terms, [](int32_t term) { return term != 0; });
    }
  }
  for (const int32_t m : node.rescale.multiplier) work.digits += pixels * infer::count_digits(m);
  if (node.rescaled()) work.others += outputs * (node.shortcut >= 0 ? 4 : 2);
  if (node.kind == infer::NodeKind::kAdd) work.others += 3 * outputs;
  if (node.kind == infer::NodeKind::kAvgPool2d)
    work.others += outputs * node.pool.kernel.height * node.pool.kernel.width;
  return work;
}

int most_digits(const Node& node) {
  int most = 0;
  for (const int32_t m : node.rescale.multiplier) most = std::max(most, infer::count_digits(m));
  return most;
}

std::string weights_of(const Node& node) {
  if (!node.filtered()) return "";
  return fmt::format("{}{} {}", name_of(node.filters.format.method), node.filters.format.bits_str(),
                     node.filters.codes.size());
}

std::string sums_of(const Node& node, const infer::NodeBounds& bounds) {
  if (!node.rescaled()) return "";
  std::string text = fmt::format("{}, {}", bounds.accumulator.bits(), bounds.intermediate.bits());
  if (node.rescale.pre_shift > 0) text += fmt::format(" (>> {})", node.rescale.pre_shift);
  return text;
}

}  // namespace

std::string describe_net(const infer::IntegerNet& net) {
  const std::vector<infer::CpuStepInfo> steps = infer::CpuNet(net).steps();
  std::string text =
      fmt::format("{:<26} {:<12} {:<15} {:<8} {:<12} {:<7} {:<14} {:>12}  {}\n", "place", "node", "output",
                  "format", "codes, bytes", "digits", "bits of sums", "shift-adds", "kernel");
  Work total;
  for (size_t i = 0; i < net.nodes().size(); ++i) {
    const Node& node = net.nodes()[i];
    const Work work = work_of(node);
    total += work;
    const std::string digits = node.rescaled() ? std::to_string(most_digits(node)) : "";
    text += fmt::format("{:<26} {:<12} {:<15} {:<8} {:<12} {:<7} {:<14} {:>12}  {}\n", node.place,
                        name_of(node.kind), node.shape.str(), node.format.str(), weights_of(node), digits,
                        sums_of(node, net.bounds()[i]), work.terms + work.digits, steps[i].kernel);
  }
  const auto terms = static_cast<double>(total.terms);
  const auto all = static_cast<double>(total.terms + total.digits);
  const double shifts = all * (kShift + kAddition) + static_cast<double>(total.others) * kAddition;
  text += fmt::format(
      "\n{} bytes of codes, multipliers, addends and shifts\n"
      "{} shift-adds of weights, {} of multipliers, {} other additions, no multiplication, for an image\n"
      "arithmetic of an image at 45 nm: {:.2f} uJ; with multiplications of 8 bits {:.2f} uJ, of 32 bits "
      "{:.2f} uJ (memory "
      "not counted)\n",
      net.bytes(), total.terms, total.digits, total.others, shifts * 1e-6,
      terms * (kMultiplication8 + kAddition) * 1e-6, terms * (kMultiplication32 + kAddition) * 1e-6);
  return text;
}

}  // namespace ds::apps
