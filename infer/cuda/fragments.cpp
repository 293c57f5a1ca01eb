#include "infer/cuda/fragments.h"

#include <cmath>

#include "core/error.h"

namespace ds::infer::cuda {
namespace {

int round_up(int value, int granularity) { return (value + granularity - 1) / granularity * granularity; }

/// s 2^(p - p_min) of a code; 0 for the one that PS does not use.
int32_t integer_of(ShiftFormat format, int code) {
  const bool unused = format.method == ShiftMethod::kPs && code == 1 << (format.bits - 1);
  return unused ? 0
                : static_cast<int32_t>(
                      std::ldexp(decode(static_cast<uint8_t>(code), format), -format.range().p_min));
}

void set_byte(uint32_t (&table)[4], int index, int byte) {
  table[index / 4] |= (static_cast<uint32_t>(byte) & 0xFF) << (8 * (index % 4));
}

int get_byte(const uint32_t (&table)[4], int index) {
  return static_cast<int8_t>(table[index / 4] >> (8 * (index % 4)));
}

/// Where a weight stands in a block.
struct Position {
  int lane;
  int fragment;
  int word;  // r
  int byte;  // i
};

Position position_of(int output, int depth) {
  const int column = output / 8 * 2 + output % 2;
  return {
      .lane = column * 4 + depth % 16 / 4, .fragment = output % 8 / 2, .word = depth / 16, .byte = depth % 4};
}

void put_code(uint32_t* block, int bits, const Position& at, uint32_t code) {
  const auto put = [&](int word, uint32_t value, int shift) {
    block[word_index(bits, at.lane, word)] |= value << shift;
  };
  const int nibble = 4 * (4 * at.word + at.byte);
  if (bits <= 3) {
    put(at.fragment / 2, code & 3, nibble + 2 * (at.fragment % 2));
    if (bits == 3) put(2, code >> 2, nibble + at.fragment);
    return;
  }
  put(at.fragment, code & 7, nibble);
  put(at.fragment, (code >> 3) & 1, 8 * at.byte + (at.word == 0 ? 7 : 3));
  if (bits == 5) put(4, code >> 4, 8 * at.byte + 7 - (2 * at.fragment + at.word));
}

}  // namespace

DecodeTables decode_tables(ShiftFormat format) {
  DecodeTables tables = {};
  for (int code = 0; code < 1 << format.bits; ++code) {
    const int32_t integer = integer_of(format, code);
    if (format.bits <= 3) {
      set_byte(tables.words[0][0], code, integer);
      continue;
    }
    const int magnitude = code & ((1 << (format.bits - 1)) - 1);
    const int sign = code >> (format.bits - 1);
    const int low = static_cast<int8_t>(static_cast<uint32_t>(integer) & 0xFF);
    set_byte(tables.words[0][sign], magnitude, low);
    if (format.bits == 5) set_byte(tables.words[1][sign], magnitude, (integer - low) / 256);
  }
  return tables;
}

int32_t decoded_weight(const DecodeTables& tables, int bits, uint8_t code) {
  if (bits <= 3) return get_byte(tables.words[0][0], code);
  const int magnitude = code & ((1 << (bits - 1)) - 1);
  const int sign = code >> (bits - 1);
  return get_byte(tables.words[0][sign], magnitude) + 256 * get_byte(tables.words[1][sign], magnitude);
}

FilterFragments pack_fragments(const Filters& filters, const FragmentOptions& options) {
  const Shape& shape = filters.shape;
  const auto outputs = static_cast<int>(shape[0]);
  const auto inputs = static_cast<int>(shape[-1]);
  const int columns = shape.rank() == 4 ? static_cast<int>(shape[2]) : 1;
  const auto taps = static_cast<int>(shape.numel() / shape[0] / shape[-1]);
  const int row_taps = options.row_taps == 0 ? columns : options.row_taps;
  DS_CHECK(inputs <= options.channels && columns <= row_taps,
           "[fragments] filters have {} channels and rows of {} taps, a pixel {} and {}", inputs, columns,
           options.channels, row_taps);
  const int depth = taps / columns * row_taps * options.channels;
  FilterFragments result{.bits = filters.format.bits,
                         .outputs = round_up(outputs, options.output_granularity),
                         .depth_blocks = round_up(depth, options.depth_granularity) / kBlockDepth,
                         .tables = decode_tables(filters.format)};
  const auto words = static_cast<size_t>(block_words(result.bits));
  result.words.resize(static_cast<size_t>(result.outputs / kBlockOutputs) *
                      static_cast<size_t>(result.depth_blocks) * words);
  const std::vector<int32_t> integers = filters.integers();
  size_t index = 0;
  for (int output = 0; output < outputs; ++output) {
    result.correction_starts.push_back(static_cast<int32_t>(result.corrections.size()));
    for (int tap = 0; tap < taps; ++tap) {
      for (int channel = 0; channel < inputs; ++channel, ++index) {
        const int at = (tap / columns * row_taps + tap % columns) * options.channels + channel;
        const auto block =
            static_cast<size_t>(output / kBlockOutputs * result.depth_blocks + at / kBlockDepth);
        const uint8_t code = encode(
            std::ldexp(static_cast<float>(integers[index]), filters.format.range().p_min), filters.format);
        put_code(result.words.data() + block * words, result.bits,
                 position_of(output % kBlockOutputs, at % kBlockDepth), code);
        const int32_t missing = integers[index] - decoded_weight(result.tables, result.bits, code);
        if (missing != 0) result.corrections.push_back({tap * options.channels + channel, missing});
      }
    }
  }
  result.correction_starts.resize(static_cast<size_t>(result.outputs) + 1,
                                  static_cast<int32_t>(result.corrections.size()));
  return result;
}

}  // namespace ds::infer::cuda
