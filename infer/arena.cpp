#include "infer/arena.h"

#include <algorithm>

namespace ds::infer {
namespace {

constexpr int64_t kLine = 64;

int64_t whole_lines(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

int ArenaPlanner::add(int64_t bytes, int first, int last) {
  blocks_.push_back({.bytes = whole_lines(bytes), .first = first, .last = last, .offset = 0});
  return static_cast<int>(blocks_.size()) - 1;
}

void ArenaPlanner::place() {
  std::vector<Block*> order;
  for (Block& block : blocks_) order.push_back(&block);
  std::ranges::stable_sort(order, std::greater<>(), &Block::bytes);
  std::vector<Block*> placed;
  for (Block* block : order) {
    block->offset = lowest_free(*block, placed);
    // A line more: kernels read words, the last of which may reach beyond the values. (Within the arena it
    // reaches into another block, which may be changing: what is read there has weight 0 or is not stored.)
    bytes_ = std::max(bytes_, block->offset + block->bytes + kLine);
    placed.push_back(block);
    std::ranges::sort(placed, std::less<>(), &Block::offset);
  }
}

int64_t ArenaPlanner::lowest_free(const Block& block, const std::vector<Block*>& placed) const {
  int64_t offset = 0;
  for (const Block* other : placed) {  // from the lowest up
    if (other->last < block.first || other->first > block.last) continue;
    if (offset + block.bytes <= other->offset) break;
    offset = std::max(offset, other->offset + other->bytes);
  }
  return offset;
}

}  // namespace ds::infer
