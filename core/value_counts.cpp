#include "core/value_counts.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "core/error.h"

namespace ds {
namespace {

constexpr size_t kBins = size_t{1} << 16;
constexpr double kPercentile = 0.9999;
constexpr int kMaxFraction = 62;
constexpr int kBitsAboveFitting = 8;  // how far least squares looks beyond the range of the values

struct ChoiceName {
  FormatChoice choice;
  std::string_view name;
};
constexpr std::array<ChoiceName, 3> kChoiceNames = {{{FormatChoice::kLeastSquares, "squares"},
                                                     {FormatChoice::kPercentile, "percentile"},
                                                     {FormatChoice::kMinMax, "minmax"}}};

/// The middle of the floats that are counted together.
double middle(size_t bin) { return std::bit_cast<float>(static_cast<uint32_t>(bin << 16) | 0x8000U); }

}  // namespace

std::string_view name_of(FormatChoice choice) {
  return std::ranges::find(kChoiceNames, choice, &ChoiceName::choice)->name;
}

FormatChoice parse_format_choice(std::string_view text) {
  const auto* found = std::ranges::find(kChoiceNames, text, &ChoiceName::name);
  DS_CHECK(found != kChoiceNames.end(),
           "[calibrate] choice of formats is \"{}\", expected squares, percentile or minmax", text);
  return found->choice;
}

void ValueCounts::add(std::span<const float> values) {
  if (!values.empty()) counts_.resize(kBins, 0);
  for (const float value : values) {
    ++counts_[std::bit_cast<uint32_t>(value) >> 16];
    lowest_ = std::min(lowest_, double{value});
    highest_ = std::max(highest_, double{value});
  }
}

void ValueCounts::add(const ValueCounts& other) {
  if (other.counts_.empty()) return;
  counts_.resize(kBins, 0);
  for (size_t bin = 0; bin < kBins; ++bin) counts_[bin] += other.counts_[bin];
  lowest_ = std::min(lowest_, other.lowest_);
  highest_ = std::max(highest_, other.highest_);
}

int ValueCounts::fraction_bits(int64_t low, int64_t high, FormatChoice choice) const {
  if (lowest_ == 0.0 && highest_ == 0.0) return 0;
  if (choice == FormatChoice::kPercentile) return fitting_bits(low, high, kPercentile);
  const int fitting = fitting_bits(low, high, 1.0);
  if (choice == FormatChoice::kMinMax) return fitting;
  int best = fitting;
  for (int bits = fitting + 1; bits <= std::min(fitting + kBitsAboveFitting, kMaxFraction); ++bits) {
    if (squared_error(low, high, bits) < squared_error(low, high, best)) best = bits;
  }
  return best;
}

/// The most bits at which this share of the values lies in the range.
int ValueCounts::fitting_bits(int64_t low, int64_t high, double share) const {
  int64_t total = 0;
  for (const int64_t count : counts_) total += count;
  const auto fits = [&](int bits) {
    const double top = std::ldexp(static_cast<double>(high) + 0.5, -bits);
    const double bottom = std::ldexp(static_cast<double>(low) - 0.5, -bits);
    if (share == 1.0) return highest_ < top && lowest_ >= bottom;
    int64_t inside = 0;
    for (size_t bin = 0; bin < counts_.size(); ++bin) {
      if (counts_[bin] > 0 && middle(bin) < top && middle(bin) >= bottom) inside += counts_[bin];
    }
    return static_cast<double>(inside) >= share * static_cast<double>(total);
  };
  int bits = kMaxFraction;
  while (bits > -kMaxFraction && !fits(bits)) --bits;
  return bits;
}

double ValueCounts::squared_error(int64_t low, int64_t high, int fraction_bits) const {
  double error = 0.0;
  for (size_t bin = 0; bin < counts_.size(); ++bin) {
    if (counts_[bin] == 0) continue;
    const double value = middle(bin);
    const double scaled = std::floor(std::ldexp(value, fraction_bits) + 0.5);
    const double q = std::clamp(scaled, static_cast<double>(low), static_cast<double>(high));
    const double difference = value - std::ldexp(q, -fraction_bits);
    error += static_cast<double>(counts_[bin]) * difference * difference;
  }
  return error;
}

}  // namespace ds
