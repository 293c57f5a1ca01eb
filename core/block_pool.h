// Where the free parts of some large segments of memory are: bookkeeping with addresses alone, so that it
// serves every device.
//
// Blocks of any size are cut from the segments and join their free neighbours when they are given back. Lists
// of blocks by size, which never join, hold almost half as much memory again for a training step of ResNet18.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace ds {

class BlockPool {
 public:
  /// From now on blocks are cut from it, too.
  void add_segment(char* data, size_t size);

  /// The beginning of a block, in the smallest free part that holds it, the lowest of equal ones: what was
  /// never used stays so for as long as possible. Null when there is none.
  char* take(size_t size);

  /// Takes back a block from take().
  void give_back(char* data, size_t size);

  /// The beginnings and sizes of what is free.
  const std::map<char*, size_t>& free_parts() const { return free_; }
  /// Forgets the segments that are free as a whole, and returns their beginnings and sizes.
  std::vector<std::pair<char*, size_t>> remove_free_segments();

 private:
  void add_free(char* data, size_t size);
  void remove_free(char* data, size_t size);

  std::map<char*, size_t> segments_;
  std::map<char*, size_t> free_;  // by address
  std::set<std::pair<size_t, char*>> free_by_size_;
};

}  // namespace ds
