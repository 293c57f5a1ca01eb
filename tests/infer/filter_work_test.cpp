#include "infer/cpu/filter_work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "core/random.h"
#include "tests/support/scoped.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using infer::FilterCut;
using infer::FilterWork;
using infer::Range;

FilterWork random_work(Generator& random) {
  const auto below = [&](uint32_t limit) { return static_cast<int64_t>(random.below(limit)); };
  FilterWork work{.rows = 1 + below(60), .width = 1 + below(60)};
  work.images_are_pixels = below(4) == 0;
  if (work.images_are_pixels) work.rows = work.width = 1;
  work.output_products = 1 + below(5000);
  work.outputs = 1 + below(600);
  work.panel_outputs = 16 << below(3);
  work.panels = (work.outputs + work.panel_outputs - 1) / work.panel_outputs;
  work.panel_bytes = work.panel_outputs;
  work.tile_pixels = 1 + below(14);
  work.weight_bytes = work.outputs * work.output_products;
  work.input_bytes = 1 + below(100'000);
  work.pixel_bytes = work.outputs;
  work.may_unpack = below(2) == 0;
  return work;
}

/// Chunks share the items out, and the items of a panel the units.
TEST(FilterWork, CutsEveryPanelAndPixelOnce) {
  Generator random(1);
  for (int64_t trial = 0; trial < test::trials(2000); ++trial) {
    const test::ScopedThreads threads(1 + static_cast<int>(random.below(9)));
    const FilterWork work = random_work(random);
    const int64_t images = 1 + static_cast<int64_t>(random.below(20));
    const FilterCut cut = infer::cut_work(work, images);
    ASSERT_EQ(cut.rows * cut.width, images * work.rows * work.width);
    ASSERT_EQ((cut.width + cut.segment - 1) / cut.segment, cut.segments);
    ASSERT_TRUE(cut.tile >= 1 && cut.tile <= work.tile_pixels);
    ASSERT_TRUE(cut.last_tile >= 1 && cut.last_tile <= work.tile_pixels);
    ASSERT_FALSE(cut.unpacks && !work.may_unpack);
    std::vector<int> taken(static_cast<size_t>(work.panels * cut.units()));
    for (int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
      const Range items = cut.items_of(chunk);
      for (int64_t item = items.begin; item < items.end; ++item) {
        const Range panels = cut.panels_of(item);
        const Range units = cut.units_of(item);
        for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
          for (int64_t unit = units.begin; unit < units.end; ++unit) {
            ++taken[static_cast<size_t>(panel * cut.units() + unit)];
          }
        }
      }
    }
    for (const int times : taken) ASSERT_EQ(times, 1) << "trial " << trial;
  }
}

/// Windows of a pixel.
FilterWork pointwise_work(int64_t pixels, int64_t channels, int64_t outputs) {
  FilterWork work{.rows = 1, .width = pixels};
  work.output_products = channels;
  work.outputs = outputs;
  work.panel_outputs = 32;
  work.panel_bytes = 32;
  work.panels = (outputs + 31) / 32;
  work.tile_pixels = 14;
  work.weight_bytes = channels * outputs / 2;
  work.input_bytes = pixels * channels;
  work.pixel_bytes = outputs;
  return work;
}

/// Layers of MobileNetV2 with many weights for few pixels.
TEST(FilterWork, SharesNoLineOfOutputsBetweenChunksOfPanels) {
  const test::ScopedThreads threads(2);
  for (const auto& [pixels, channels, outputs] :
       {std::array<int64_t, 3>{64, 96, 576}, {16, 960, 320}, {16, 320, 1280}}) {
    const FilterWork work = pointwise_work(pixels, channels, outputs);
    const FilterCut cut = infer::cut_work(work, 1);
    ASSERT_TRUE(cut.by_panels);
    std::map<int64_t, int64_t> writers;  // of lines, by their addresses
    for (int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
      const Range items = cut.items_of(chunk);
      for (int64_t item = items.begin; item < items.end; ++item) {
        const Range panels = cut.panels_of(item);
        const Range units = cut.units_of(item);
        for (int64_t pixel = units.begin * cut.segment; pixel < std::min(pixels, units.end * cut.segment);
             ++pixel) {
          for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
            const int64_t address = pixel * outputs + panel * 32;
            EXPECT_EQ(writers.try_emplace(address / 64, chunk).first->second, chunk);
          }
        }
      }
    }
  }
}

TEST(FilterWork, TakesAllPanelsOfAUnitWhereWeightsAreFew) {
  const FilterCut few = infer::cut_work(pointwise_work(1024, 24, 144), 1);
  EXPECT_TRUE(few.panels_inside);
  EXPECT_EQ(few.panels_of(0).end, 5);
  EXPECT_LE(few.segment * 144, 16'384);
  EXPECT_FALSE(infer::cut_work(pointwise_work(1024, 96, 576), 1).panels_inside);
  const test::ScopedThreads many(8);  // who would have nothing to do with five units
  EXPECT_GE(infer::cut_work(pointwise_work(64, 64, 96), 1).items(), 8);
}

/// A layer of ResNet18 has few chunks where each unpacks its weights, though several for every thread.
TEST(FilterWork, CutsLargerChunksWhereWeightsAreUnpacked) {
  const test::ScopedThreads threads(2);
  FilterWork work{.rows = 56, .width = 56};
  work.output_products = 576;
  work.outputs = 64;
  work.panels = 2;
  work.panel_outputs = 32;
  work.panel_bytes = 32;
  work.tile_pixels = 14;
  work.weight_bytes = 18'432;
  work.input_bytes = 215'296;
  work.pixel_bytes = 64;
  const FilterCut packed = infer::cut_work(work, 1);
  work.may_unpack = true;
  const FilterCut unpacked = infer::cut_work(work, 1);
  EXPECT_FALSE(packed.unpacks);
  EXPECT_TRUE(unpacked.unpacks);
  EXPECT_LT(unpacked.chunks, packed.chunks);
  EXPECT_GE(unpacked.chunks, 16);
}

}  // namespace
}  // namespace ds
