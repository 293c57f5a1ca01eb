// The weights of a panel of outputs in the form that a packed kernel reads (infer/cpu/kernels/packed.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/shift/codes.h"
#include "infer/cpu/filter_input.h"
#include "infer/cpu/kernels/packed.h"

namespace ds::infer {

/// Values that a kernel takes of a pixel at once.
int64_t word_values(Words words);
/// The weights of the codes of 2 bits; where PS has no code, 0.
std::array<int8_t, 4> crumb_weights(ShiftMethod method);
/// How the shift kernels read 0 or a power of two, or its negative (infer/cpu/kernels/packed.h).
uint8_t shift_code(int32_t weight);

/// Which kernel reads the weights.
struct PanelForm {
  Words words = Words::kU8;
  int shape = 0;  // index of PackedKernels' panel shapes
  /// The weights of the four codes of a layer of 2 bits, whose panels keep its codes as they are.
  std::optional<std::array<int8_t, 4>> crumbs = {};
};

/// Weights [outputs][pitch], of which values [first, end) are meant.
struct WeightBlock {
  const int32_t* weights;
  int64_t outputs;
  int64_t pitch;
  int64_t first;
  int64_t end;

  /// 0 for what is not there.
  int32_t at(int64_t output, int64_t value) const {
    return output < outputs && first + value < end ? weights[output * pitch + first + value] : 0;
  }
};

class PanelPacker {
 public:
  PanelPacker(const PackedKernels& kernels, const PanelForm& form) : kernels_(kernels), form_(form) {}

  /// As much of a weight as one of a kernel's can be: at most the largest of those, and where they are codes
  /// the nearest power of two.
  int32_t part_of(int32_t weight) const;
  /// Appends a block, whose weights must be parts. Returns the number of its words.
  int64_t pack(const WeightBlock& block, std::vector<uint8_t>& packed) const;

 private:
  int64_t outputs() const { return int64_t{kernels_.vectors[form_.shape]} * kernels_.lanes; }
  /// Panels of one vector take pairs of words of u8, whose codes share bytes.
  int64_t words_at_once() const { return form_.words == Words::kU8 && form_.shape == 2 ? 2 : 1; }
  int64_t codes_per_byte() const;
  bool has_codes() const;
  unsigned byte_code_of(int32_t weight) const;
  void pack_bytes(const WeightBlock& block, int64_t word, std::vector<uint8_t>& packed) const;
  void pack_word(int32_t weight, std::vector<uint8_t>& packed) const;

  const PackedKernels& kernels_;
  const PanelForm& form_;
};

}  // namespace ds::infer
