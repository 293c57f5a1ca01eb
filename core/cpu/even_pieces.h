// How a row of pixels or channels is cut into the tiles of a micro-kernel.
#pragma once

#include <cstdint>

namespace ds::cpu {

/// Calls body(begin, size) for consecutive pieces of [0, count) of at most `most`, as even as they come: 32
/// pixels are 11 + 11 + 10, not 12 + 12 + 8. One division: the pieces are small.
template <class Body>
void for_even_pieces(int64_t count, int64_t most, const Body& body) {
  const int64_t pieces = (count + most - 1) / most;
  const int64_t size = count / pieces;
  const int64_t longer = count - pieces * size;  // pieces with one more
  for (int64_t piece = 0, begin = 0; piece < pieces; ++piece) {
    const int64_t length = size + (piece < longer ? 1 : 0);
    body(begin, length);
    begin += length;
  }
}

}  // namespace ds::cpu
