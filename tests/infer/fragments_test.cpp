#include "infer/cuda/fragments.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/random.h"
#include "infer/cuda/geometry.h"

namespace ds::infer::cuda {
namespace {

Filters random_filters(Generator& generator, ShiftFormat format, const Shape& shape) {
  std::vector<float> weights(static_cast<size_t>(shape.numel()));
  const auto range = format.range();
  for (float& w : weights) {
    const int p = range.p_min + static_cast<int>(generator.below(static_cast<uint32_t>(1 - range.p_min)));
    w = std::ldexp(generator.below(2) == 0 ? 1.0F : -1.0F, p);
    if (format.method == ShiftMethod::kPs && generator.below(4) == 0) w = 0.0F;
  }
  return {.format = format, .shape = shape, .codes = pack(weights, format)};
}

/// The weight that the lane of the tensor cores multiplies by in column `column` and row `row` of fragment f.
template <int bits>
int32_t fragment_weight(const uint32_t* block, const DecodeTables& tables, int f, int column, int row) {
  const int lane = column * 4 + row % 16 / 4;
  uint32_t words[bits];
  for (int w = 0; w < bits; ++w) words[w] = block[word_index(bits, lane, w)];
  uint32_t decoded[bits == 5 ? 2 : 1][2];
  decode_fragment<bits>(words, f, tables, decoded);
  const auto byte = [&](int plane) {
    return static_cast<int32_t>(static_cast<int8_t>(decoded[plane][row / 16] >> (8 * (row % 4))));
  };
  return byte(0) + (bits == 5 ? 256 * byte(bits == 5 ? 1 : 0) : 0);
}

template <int bits>
void expect_all_weights(ShiftMethod method, int row_taps) {
  Generator generator(static_cast<uint64_t>(bits));
  const Filters filters = random_filters(generator, {.method = method, .bits = bits}, {37, 3, 2, 13});
  constexpr int kChannels = 16;
  const FilterFragments fragments = pack_fragments(
      filters,
      {.channels = kChannels, .row_taps = row_taps, .output_granularity = 64, .depth_granularity = 64});
  EXPECT_EQ(fragments.outputs, 64);
  EXPECT_EQ(fragments.depth_blocks, row_taps == 2 ? 4 : 6);  // 6 taps of 16: 96, up to 128; or 12: 192
  const std::vector<int32_t> integers = filters.integers();
  size_t index = 0;
  for (int output = 0; output < 37; ++output) {
    for (int tap = 0; tap < 6; ++tap) {
      for (int channel = 0; channel < 13; ++channel, ++index) {
        const int depth = (tap / 2 * row_taps + tap % 2) * kChannels + channel;
        const int block = output / 32 * fragments.depth_blocks + depth / 32;
        const int inside = output % 32;  // 8 (column / 2) + 2 f + column % 2
        int32_t weight =
            fragment_weight<bits>(fragments.words.data() + static_cast<size_t>(block) * block_words(bits),
                                  fragments.tables, inside % 8 / 2, inside / 8 * 2 + inside % 2, depth % 32);
        const auto o = static_cast<size_t>(output);
        for (int i = fragments.correction_starts[o]; i < fragments.correction_starts[o + 1]; ++i) {
          const Correction& c = fragments.corrections[static_cast<size_t>(i)];
          if (c.depth == tap * kChannels + channel) weight += c.amount;
        }
        ASSERT_EQ(weight, integers[index]) << output << " " << tap << " " << channel;
      }
    }
  }
}

TEST(Fragments, DecodeToTheWeights) {
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    for (const int row_taps : {2, 4}) {
      expect_all_weights<2>(method, row_taps);
      expect_all_weights<3>(method, row_taps);
      expect_all_weights<4>(method, row_taps);
      expect_all_weights<5>(method, row_taps);
    }
  }
}

/// A product of the tensor cores, m16n8k32, with what lane l holds in its registers: a[l], b[l].
std::vector<std::array<int32_t, 4>> tensor_core_product(const std::vector<std::array<uint32_t, 4>>& a,
                                                        const std::vector<std::array<uint32_t, 2>>& b) {
  const auto byte = [](uint32_t word, int i) { return static_cast<int8_t>(word >> (8 * i)); };
  std::vector<std::array<int32_t, 4>> c(kLanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      for (int k = 0; k < 32; ++k) {
        const auto lane_a = static_cast<size_t>(row % 8 * 4 + k % 16 / 4);
        const auto lane_b = static_cast<size_t>(column * 4 + k % 16 / 4);
        const uint32_t word_a = a[lane_a][static_cast<size_t>(row / 8 + k / 16 * 2)];
        const uint32_t word_b = b[lane_b][static_cast<size_t>(k / 16)];
        c[static_cast<size_t>(lane)][static_cast<size_t>(i)] += byte(word_a, k % 4) * byte(word_b, k % 4);
      }
    }
  }
  return c;
}

/// As cuda/linear_kernel.cuh takes them: two fragments are 16 rows.
TEST(Fragments, AreRowsOfAProductInPairs) {
  Generator generator(5);
  const Filters filters = random_filters(generator, {.method = ShiftMethod::kPs, .bits = 4}, {32, 32});
  const FilterFragments fragments = pack_fragments(filters, {.channels = 32});
  int8_t values[8][32];
  for (auto& row : values) {
    for (int8_t& value : row) value = static_cast<int8_t>(generator.below(256));
  }
  std::vector<std::array<uint32_t, 2>> columns(kLanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int k = 0; k < 8; ++k) {
      columns[static_cast<size_t>(lane)][static_cast<size_t>(k / 4)] |=
          static_cast<uint32_t>(static_cast<uint8_t>(values[lane / 4][k / 4 * 16 + lane % 4 * 4 + k % 4]))
          << (8 * (k % 4));
    }
  }
  const std::vector<int32_t> integers = filters.integers();
  for (int h = 0; h < 2; ++h) {
    std::vector<std::array<uint32_t, 4>> rows(kLanes);
    for (int lane = 0; lane < kLanes; ++lane) {
      uint32_t words[4];
      for (int w = 0; w < 4; ++w) words[w] = fragments.words[static_cast<size_t>(word_index(4, lane, w))];
      for (int f = 0; f < 2; ++f) {
        uint32_t decoded[1][2];
        decode_fragment<4>(words, 2 * h + f, fragments.tables, decoded);
        rows[static_cast<size_t>(lane)][static_cast<size_t>(f)] = decoded[0][0];
        rows[static_cast<size_t>(lane)][static_cast<size_t>(2 + f)] = decoded[0][1];
      }
    }
    const auto sums = tensor_core_product(rows, columns);
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int j = 0; j < 4; ++j) {
        const int output = fragment_output(2 * h + j / 2, lane / 4);
        int32_t expected = 0;
        for (int k = 0; k < 32; ++k) {
          expected += integers[static_cast<size_t>(output * 32 + k)] * values[lane % 4 * 2 + j % 2][k];
        }
        EXPECT_EQ(sums[static_cast<size_t>(lane)][static_cast<size_t>(j)], expected) << h << lane << j;
      }
    }
  }
}

TEST(Fragments, DealOutTheOutputsOfABlock) {
  std::vector<int> uses(kBlockOutputs);
  for (int f = 0; f < kFragments; ++f) {
    for (int column = 0; column < 8; ++column) {
      const int output = fragment_output(f, column);
      ++uses.at(static_cast<size_t>(output));
      EXPECT_EQ(output % 8 / 2, f);
      EXPECT_EQ(output / 8 * 2 + output % 2, column);
    }
  }
  EXPECT_EQ(uses, std::vector<int>(kBlockOutputs, 1));
}

/// Every lane has a word of its own.
TEST(Fragments, PutEachWordOnce) {
  for (const int bits : {2, 3, 4, 5}) {
    std::vector<int> uses(static_cast<size_t>(block_words(bits)));
    for (int lane = 0; lane < kLanes; ++lane) {
      for (int w = 0; w < bits; ++w) ++uses.at(static_cast<size_t>(word_index(bits, lane, w)));
    }
    EXPECT_EQ(uses, std::vector<int>(uses.size(), 1)) << bits;
  }
}

/// What no byte holds: 128 with 4 bits, 32768 with 5.
TEST(Fragments, CorrectOnlyTheLargestWeightOfQ) {
  for (const int bits : {2, 3, 4, 5}) {
    for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
      const ShiftFormat format{.method = method, .bits = bits};
      const std::vector<float> weights = {1.0F, -1.0F};
      const Filters filters{.format = format, .shape = {1, 2}, .codes = pack(weights, format)};
      const FilterFragments fragments = pack_fragments(filters, {.channels = 4});
      const bool corrected = method == ShiftMethod::kQ && bits >= 4;
      ASSERT_EQ(fragments.corrections.size(), corrected ? 1U : 0U) << bits;
      if (corrected) {
        EXPECT_EQ(fragments.corrections[0].depth, 0);
      }
    }
  }
}

TEST(FilterGeometry, CursorVisitsTheTapsOfAWindow) {
  const FilterGeometry g{.images = 2,
                         .in_height = 7,
                         .in_width = 5,
                         .channels = 4,
                         .out_height = 4,
                         .out_width = 2,
                         .kernel_height = 3,
                         .kernel_width = 2,
                         .stride_height = 2,
                         .stride_width = 3,
                         .padding_height = 1,
                         .padding_width = 1,
                         .dilation_height = 1,
                         .dilation_width = 2};
  for (int row = 0; row < g.rows(); ++row) {
    const WindowRow window = window_row(g, row);
    TapCursor moved(g, 0);
    for (int depth = 0; depth < g.depth() + 8; depth += 4) {
      const int tap = depth / 4;
      const int y = row % 8 / 2 * 2 - 1 + tap / 2;
      const int x = row % 2 * 3 - 1 + tap % 2 * 2;
      const bool inside = depth < g.depth() && y >= 0 && y < 7 && x >= 0 && x < 5;
      for (const TapCursor& cursor : {moved, TapCursor(g, depth)}) {
        ASSERT_EQ(cursor.inside(window), inside) << row << " " << depth;
        if (inside) {
          EXPECT_EQ(cursor.source(window), ((row / 8 * 7 + y) * 5 + x) * 4) << row << " " << depth;
        }
      }
      moved.advance(g, 4);
    }
  }
}

}  // namespace
}  // namespace ds::infer::cuda
