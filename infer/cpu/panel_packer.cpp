#include "infer/cpu/panel_packer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>

#include "core/parallel.h"

namespace ds::infer {
namespace {

unsigned magnitude_of(int32_t weight) { return static_cast<unsigned>(std::abs(weight)); }

/// 0, or `negative` and 1 + log2 of the magnitude.
uint8_t code_of(int32_t weight, int negative) {
  return static_cast<uint8_t>((weight < 0 ? negative : 0) + std::bit_width(magnitude_of(weight)));
}

/// The largest magnitude that a kernel's weights have.
int32_t largest_weight(Words words) {
  switch (words) {
    case Words::kU8: return kLargestNibbleWeight;
    case Words::kI16: return kLargestWordWeight;
    case Words::kShift: return std::numeric_limits<int32_t>::max();
  }
  return 0;
}

/// Of two as near, the smaller: what is left of a sum of two powers of two is one then. 0 of 0.
unsigned nearest_power(unsigned magnitude) {
  const unsigned below = std::bit_floor(magnitude);
  return magnitude - below > 2 * below - magnitude ? 2 * below : below;
}

}  // namespace

int64_t word_values(Words words) {
  switch (words) {
    case Words::kU8: return 4;
    case Words::kI16: return 2;
    case Words::kShift: return 1;
  }
  return 1;
}

std::array<int8_t, 4> crumb_weights(ShiftMethod method) {
  if (method == ShiftMethod::kPs) return {0, 1, 0, -1};
  return {1, 2, -1, -2};
}

uint8_t shift_code(int32_t weight) {
  if (weight == 0) return kShiftOfZero;
  return static_cast<uint8_t>((weight < 0 ? kNegativeShift : 0) + std::countr_zero(magnitude_of(weight)));
}

int32_t PanelPacker::part_of(int32_t weight) const {
  const unsigned magnitude = has_codes() ? nearest_power(magnitude_of(weight)) : magnitude_of(weight);
  const auto part = static_cast<int32_t>(std::min<int64_t>(magnitude, largest_weight(form_.words)));
  return weight < 0 ? -part : part;
}

bool PanelPacker::has_codes() const {
  switch (form_.words) {
    case Words::kU8: return kernels_.byte_codes;
    case Words::kI16: return kernels_.word_codes;
    case Words::kShift: return true;
  }
  return true;
}

int64_t PanelPacker::pack(const WeightBlock& block, std::vector<uint8_t>& packed) const {
  const int64_t values = word_values(form_.words);
  const int64_t step = words_at_once();
  const int64_t words = chunk_count(block.end - block.first, values * step) * step;
  for (int64_t word = 0; word < words; word += step) {
    switch (form_.words) {
      case Words::kU8: pack_bytes(block, word, packed); break;
      case Words::kI16:
        for (int64_t i = 0; i < 2 * outputs(); ++i) pack_word(block.at(i / 2, word * 2 + i % 2), packed);
        break;
      case Words::kShift:
        for (int64_t o = 0; o < outputs(); ++o) packed.push_back(shift_code(block.at(o, word)));
        break;
    }
  }
  return words;
}

void PanelPacker::pack_bytes(const WeightBlock& block, int64_t word, std::vector<uint8_t>& packed) const {
  const int64_t vectors = kernels_.vectors[form_.shape];
  const int64_t codes = codes_per_byte();
  for (int64_t first = 0; first < vectors * words_at_once(); first += codes) {
    for (int64_t j = 0; j < int64_t{kernels_.lanes} * 4; ++j) {
      unsigned byte = 0;
      for (int64_t i = 0; i < codes; ++i) {
        const int64_t output = (first + i) % vectors * kernels_.lanes + j / 4;
        const int64_t value = (word + (first + i) / vectors) * 4 + j % 4;
        byte |= byte_code_of(block.at(output, value)) << (i * 8 / codes);
      }
      packed.push_back(static_cast<uint8_t>(byte));
    }
  }
}

int64_t PanelPacker::codes_per_byte() const {
  if (!kernels_.byte_codes) return 1;
  return form_.crumbs ? 4 : 2;
}

unsigned PanelPacker::byte_code_of(int32_t weight) const {
  if (!kernels_.byte_codes) return static_cast<uint8_t>(weight);
  if (!form_.crumbs) return code_of(weight, 8);
  const auto* found = std::ranges::find(*form_.crumbs, weight);
  // Outputs beyond the panel's may have any weight.
  return found == form_.crumbs->end() ? 0U : static_cast<unsigned>(found - form_.crumbs->begin());
}

void PanelPacker::pack_word(int32_t weight, std::vector<uint8_t>& packed) const {
  if (kernels_.word_codes) {
    packed.push_back(code_of(weight, kNegativeWord));
    return;
  }
  const auto bits = static_cast<uint16_t>(weight);
  packed.push_back(static_cast<uint8_t>(bits & 255));
  packed.push_back(static_cast<uint8_t>(bits >> 8));
}

}  // namespace ds::infer
