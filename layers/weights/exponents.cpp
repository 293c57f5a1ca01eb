#include "layers/weights/exponents.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace ds {
namespace {

constexpr int64_t kBarWidth = 40;

std::string line(const std::string& label, int64_t count, int64_t largest, int64_t total) {
  const auto width = static_cast<size_t>((count * kBarWidth + largest - 1) / largest);
  return fmt::format("  {:>5} |{:<{}}| {:5.1f} %\n", label, std::string(width, '#'), kBarWidth,
                     100.0 * static_cast<double>(count) / static_cast<double>(total));
}

void count(float term, ExponentCounts& counts) {
  if (term == 0.0F) {
    ++counts.zeros;
    return;
  }
  int exponent = 0;
  const float fraction = std::frexp(term, &exponent);  // +-[0.5, 1) times 2^exponent
  DS_CHECK(std::abs(fraction) == 0.5F, "[count_exponents] weight {} found, expected 0 or a power of two",
           term);
  ++counts.exponents[exponent - 1];
}

}  // namespace

ExponentCounts count_exponents(const Tensor& weights, ShiftFormat format) {
  const Tensor host = weights.to(Device{}).to(DType::kF32);
  ExponentCounts counts{.count = format.terms * host.numel(), .exponents = {}};
  const std::span<const float> values = host.span<float>();
  constexpr size_t kPart = 1 << 20;  // terms of so many weights are there at a time
  for (size_t begin = 0; begin < values.size(); begin += kPart) {
    const auto part = values.subspan(begin, std::min(kPart, values.size() - begin));
    for (const std::vector<float>& terms : split_terms(part, format)) {
      for (const float term : terms) count(term, counts);
    }
  }
  return counts;
}

std::string ExponentCounts::str() const {
  int64_t largest = zeros;
  for (const auto& [p, number] : exponents) largest = std::max(largest, number);
  std::string text;
  for (auto entry = exponents.rbegin(); entry != exponents.rend(); ++entry) {
    text += line(fmt::format("2^{}", entry->first), entry->second, largest, count);
  }
  if (zeros > 0) text += line("0", zeros, largest, count);
  return text;
}

}  // namespace ds
