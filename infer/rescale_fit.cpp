#include "infer/rescale_fit.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"
#include "infer/arithmetic.h"
#include "infer/rescale_width.h"

namespace ds::infer {
namespace {

constexpr int kMaxShift = 24;      // k of a multiplier with few digits: beyond it m loses digits instead
constexpr int kMaxFullShift = 40;  // and of 15 bits
constexpr int kResultBits = 30;    // of the largest value of a result, without its sign
constexpr double kCoarsestStep = 0.125;  // of an output, that dropping bits of a sum before it may make
constexpr double kInt32 = 2147483648.0;

double largest_scale(const std::vector<Line>& lines) {
  double largest = 0.0;
  for (const Line& line : lines) largest = std::max(largest, std::abs(line.scale));
  return largest;
}

/// In magnitude, of what stands before the last shift, in any channel.
double largest_intermediate(const Rescale& rescale, const Format& format, const RescaleProblem& problem) {
  double largest = 0.0;
  for (size_t c = 0; c < rescale.multiplier.size(); ++c) {
    const int k = rescale.shift[c];
    double sum = (std::ldexp(problem.largest_sum, -rescale.pre_shift) + 1.0) *
                     std::abs(static_cast<double>(rescale.multiplier[c])) +
                 std::abs(static_cast<double>(rescale.addend[c])) + std::ldexp(0.5, k);
    if (problem.shortcut != nullptr) {
      const auto magnitude = static_cast<double>(std::max(-problem.shortcut->low, problem.shortcut->high));
      sum += std::ldexp(magnitude, k + format.fraction_bits - problem.shortcut->format.fraction_bits);
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

std::string cause_of_large_multiplier(int k_min) {
  if (k_min == 0) return "a unit of the sums is 2^31 units of the output or more";
  return fmt::format("a shortcut has {} fraction bits more than the output", k_min);
}

}  // namespace

void append_line(const Line& line, int fraction_bits, int digits, int k_min, Rescale& rescale) {
  const double unit = std::ldexp(1.0, fraction_bits);
  const double scale = std::ldexp(line.scale * unit, rescale.pre_shift);
  const double pivot = std::ldexp(line.pivot, -rescale.pre_shift);
  const int k_max = std::max(k_min, digits == kFullDigits ? kMaxFullShift : kMaxShift);
  const Multiplier m = nearest_multiplier(scale, digits, k_min, k_max);
  DS_CHECK(std::in_range<int32_t>(m.m), "[lower] a channel's multiplier is {} / 2^{}, expected 32 bits: {}",
           m.m, m.k, cause_of_large_multiplier(k_min));
  rescale.multiplier.push_back(static_cast<int32_t>(m.m));
  rescale.shift.push_back(m.k);
  rescale.addend.push_back(std::llround(std::ldexp(line.shift * unit + (scale - m.value()) * pivot, m.k)));
}

Rescale fit_rescale(const std::vector<Line>& lines, const Format& format, const RescaleProblem& problem) {
  // The shortcut is shifted left, never right.
  const int k_min = problem.shortcut == nullptr
                        ? 0
                        : std::max(0, problem.shortcut->format.fraction_bits - format.fraction_bits);
  const auto fit = [&](int pre_shift) {
    Rescale result{.pre_shift = pre_shift};
    for (const Line& line : lines) append_line(line, format.fraction_bits, problem.digits, k_min, result);
    for (size_t c = 0; problem.floors && c < lines.size(); ++c) result.addend[c] -= half(result.shift[c]);
    return result;
  };
  const double unit =
      std::ldexp(largest_scale(lines), format.fraction_bits);  // of a sum, in units of the output
  // What is too large for 32 bits without its sums stays so however far they are shifted.
  for (int pre_shift = 0; problem.digits != kFullDigits && pre_shift <= kLargestNarrowShift; ++pre_shift) {
    if (pre_shift > 0 && std::ldexp(unit, pre_shift) > kCoarsestStep) break;
    Rescale tried = fit(pre_shift);
    if (largest_intermediate(tried, format, problem) < kInt32) return tried;
  }
  return fit(0);  // in 64 bits
}

Rescale fit_result(const std::vector<Line>& lines, const RescaleProblem& problem, Format& format) {
  const double largest = largest_scale(lines);
  double shift = 0.0;
  bool exact = true;
  int exponent = 0;
  for (const Line& line : lines) {
    shift = std::max(shift, std::abs(line.shift));
    exact = exact && line.scale == lines[0].scale && std::frexp(line.scale, &exponent) == 0.5;
  }
  int k_min = 0;
  if (problem.shortcut != nullptr) {
    const auto magnitude = static_cast<double>(std::max(-problem.shortcut->low, problem.shortcut->high));
    shift += std::ldexp(magnitude, -problem.shortcut->format.fraction_bits);
    exact = false;
  }
  std::frexp(largest * problem.largest_sum + shift, &exponent);
  format.fraction_bits = kResultBits - exponent;
  if (exact) format.fraction_bits = std::min(format.fraction_bits, -std::ilogb(largest));
  if (problem.shortcut != nullptr) {
    k_min = std::max(0, problem.shortcut->format.fraction_bits - format.fraction_bits);
  }
  Rescale rescale;
  const bool sums = exact && format.fraction_bits == -std::ilogb(largest);
  for (const Line& line : lines) {
    if (!sums) {
      append_line(line, format.fraction_bits, kFullDigits, k_min, rescale);
      continue;
    }
    rescale.multiplier.push_back(1);
    rescale.shift.push_back(0);
    rescale.addend.push_back(std::llround(std::ldexp(line.shift, format.fraction_bits)));
  }
  return rescale;
}

}  // namespace ds::infer
