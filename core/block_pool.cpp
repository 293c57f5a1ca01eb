#include "core/block_pool.h"

#include <iterator>

namespace ds {

void BlockPool::add_free(char* data, size_t size) {
  free_.emplace(data, size);
  free_by_size_.emplace(size, data);
}

void BlockPool::remove_free(char* data, size_t size) {
  free_.erase(data);
  free_by_size_.erase({size, data});
}

void BlockPool::add_segment(char* data, size_t size) {
  segments_.emplace(data, size);
  add_free(data, size);
}

char* BlockPool::take(size_t size) {
  const auto found = free_by_size_.lower_bound({size, nullptr});
  if (found == free_by_size_.end()) return nullptr;
  const auto [whole, data] = *found;
  remove_free(data, whole);
  if (whole > size) add_free(data + size, whole - size);
  return data;
}

void BlockPool::give_back(char* data, size_t size) {
  // Segments may lie next to one another: a part never reaches beyond its own.
  const auto next = free_.find(data + size);
  if (next != free_.end() && !segments_.contains(next->first)) {
    const size_t more = next->second;
    remove_free(data + size, more);
    size += more;
  }
  const auto after = free_.lower_bound(data);
  if (after != free_.begin() && !segments_.contains(data)) {
    const auto [begin, before] = *std::prev(after);
    if (begin + before == data) {
      remove_free(begin, before);
      data = begin;
      size += before;
    }
  }
  add_free(data, size);
}

std::vector<std::pair<char*, size_t>> BlockPool::remove_free_segments() {
  std::vector<std::pair<char*, size_t>> removed;
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    const auto part = free_.find(segment->first);
    if (part == free_.end() || part->second != segment->second) {
      ++segment;
      continue;
    }
    remove_free(segment->first, segment->second);
    removed.emplace_back(*segment);
    segment = segments_.erase(segment);
  }
  return removed;
}

}  // namespace ds
