// Where the values of a run stand: one block of memory, cut by the times at which values are needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ds::infer {

/// Blocks that are needed from one step to another share memory with those that are needed at other times.
class ArenaPlanner {
 public:
  /// A block of so many bytes, needed in steps [first, last]. Returns its index.
  int add(int64_t bytes, int first, int last);
  /// Gives every block its place: the largest first, each at the lowest place that is free during its time.
  void place();
  /// Bytes from the start of the arena, a multiple of a cache line.
  int64_t offset(int block) const { return blocks_[static_cast<size_t>(block)].offset; }
  int64_t bytes() const { return bytes_; }

 private:
  struct Block {
    int64_t bytes;
    int first;
    int last;
    int64_t offset;
  };

  int64_t lowest_free(const Block& block, const std::vector<Block*>& placed) const;

  std::vector<Block> blocks_;
  int64_t bytes_ = 0;
};

}  // namespace ds::infer
