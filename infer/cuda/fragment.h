// Packed codes as the tensor cores take them: their layout in memory, and their decoding in registers.
//
// A product of the tensor cores (m16n8k32 of bytes) takes its 32 x 8 weights from the registers of a warp:
// lane l holds, in two words, the bytes of column l / 4 and rows 4 (l % 4) + i and 16 + 4 (l % 4) + i,
// i = 0..3. Four such fragments, 32 x 32 weights, are one block; a lane reads the codes of its 32 weights, of
// b bits each, as b words. Columns are dealt out so that the eight sums of a row that a lane ends up with,
// two a fragment, belong to eight neighbouring output channels:
//
//     fragment f, column c of a block:  output channel 8 (c / 2) + 2 f + c % 2
//
// Decoding looks bytes up: `prmt` picks four bytes of eight by the low three bits of four nibbles. Weights of
// up to 4 bits are one byte; with 5 bits a weight is low + 256 high, two bytes that are multiplied apart.
//
//     bits   words of a lane (w: word, r: 0 or 1 of the two words of a fragment f, i: byte in it)
//     2      w = f / 2: the code in bits 4 (4 r + i) + 2 (f % 2)
//     3      its low two bits as above; w = 2: its highest in bit 4 (4 r + i) + f
//     4      w = f: the magnitude in bits 4 (4 r + i); the sign in bit 8 i + 7 of r = 0, 8 i + 3 of r = 1
//     5      w = f: as 4, with the highest bit of the magnitude for the sign; w = 4: the sign in bit
//            8 i + 7 - (2 f + r)
#pragma once

#include <cstdint>

#include "infer/cuda/host_device.h"

namespace ds::infer::cuda {

inline constexpr int kBlockOutputs = 32;
inline constexpr int kBlockDepth = 32;
inline constexpr int kFragments = 4;
inline constexpr int kLanes = 32;
inline constexpr int kPlanes = 2;  // bytes of a weight, at most

/// The output channel of a block whose weights are column `column` of fragment f.
DS_HOST_DEVICE constexpr int fragment_output(int f, int column) {
  return 8 * (column / 2) + 2 * f + column % 2;
}

/// Words of the codes of a block.
DS_HOST_DEVICE constexpr int block_words(int bits) { return kLanes * bits; }

/// Where word w of a lane stands in a block: in vectors of four or two words, so that a lane's loads are
/// wide.
DS_HOST_DEVICE constexpr int word_index(int bits, int lane, int w) {
  const int vector = bits >= 4 ? 4 : 2;
  return w < vector ? lane * vector + w : kLanes * vector + lane;
}

/// Bytes of the weights of each code, in words as `prmt` takes them: by plane, then by sign (5 bits and 4)
/// with the magnitude as the index; with 3 bits and fewer the whole code is the index, and the sign 0.
struct DecodeTables {
  uint32_t words[kPlanes][2][4];
};

/// 0xFF where a byte's highest bit is set, 0 elsewhere.
DS_HOST_DEVICE inline uint32_t sign_bytes(uint32_t word) { return select_bytes(word, 0, 0xBA98); }

/// b where the mask is set, a elsewhere.
DS_HOST_DEVICE constexpr uint32_t choose(uint32_t mask, uint32_t a, uint32_t b) {
  return (a & ~mask) | (b & mask);
}

/// The weights of fragment f: word r of plane p in result[p][r]. `words` are the lane's.
template <int bits>
DS_HOST_DEVICE inline void decode_fragment(const uint32_t* words, int f, const DecodeTables& tables,
                                           uint32_t (&result)[bits == 5 ? 2 : 1][2]) {
  for (int r = 0; r < 2; ++r) {
    if constexpr (bits <= 3) {
      uint32_t selector = (words[f / 2] >> (2 * (f % 2))) & 0x33333333;
      if constexpr (bits == 3) selector |= ((words[2] >> f) & 0x11111111) << 2;
      result[0][r] = select_bytes(tables.words[0][0][0], tables.words[0][0][1], selector >> (16 * r));
    } else {
      const uint32_t selector = (words[f] & 0x77777777) >> (16 * r);
      const uint32_t flag = sign_bytes(r == 0 ? words[f] : words[f] << 4);
      const uint32_t negative = bits == 4 ? flag : sign_bytes(words[bits - 1] << (2 * f + r));
      for (int p = 0; p < (bits == 5 ? 2 : 1); ++p) {
        uint32_t of_sign[2];
        for (int s = 0; s < 2; ++s) {
          const uint32_t(&table)[4] = tables.words[p][s];
          of_sign[s] = select_bytes(table[0], table[1], selector);
          if (bits == 5) of_sign[s] = choose(flag, of_sign[s], select_bytes(table[2], table[3], selector));
        }
        result[p][r] = choose(negative, of_sign[0], of_sign[1]);
      }
    }
  }
}

}  // namespace ds::infer::cuda
