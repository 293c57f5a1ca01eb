// The words of a RandomSource (core/op_options.h), one an element: element i takes word `first + i`.
#pragma once

#include "core/op_options.h"
#include "core/random.h"

namespace ds::cpu {

/// Calls body(i, word) for the elements [begin, end). Four words come from one Philox block.
template <class Body>
void for_each_word(const RandomSource& random, int64_t begin, int64_t end, Body&& body) {
  std::array<uint32_t, 4> words{};
  for (int64_t i = begin; i < end; ++i) {
    const uint64_t position = random.first + static_cast<uint64_t>(i);
    if (i == begin || position % 4 == 0) words = philox_block(random.seed, random.stream, position / 4);
    body(i, words[position % 4]);
  }
}

}  // namespace ds::cpu
