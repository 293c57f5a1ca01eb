// Both streams of a conversion, and which values they keep for all images: what layers read, where it fits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "layers/compensation/streams.h"

namespace ds {

struct StreamOptions {
  std::vector<bool> readers = {};   // by node: whether its first input will be read for all images
  std::vector<int64_t> bytes = {};  // by value: of one image
  int64_t batch = 1;                // images that are computed together
  int64_t kept_bytes = 0;           // of kept values, in both streams; the images do not count
};

class StreamPair {
 public:
  /// The graph must outlive it.
  StreamPair(const Graph& graph, Tensor images, const StreamOptions& options);

  const Stream& of_float() const { return float_; }
  const Stream& converted() const { return converted_; }
  Stream& converted() { return converted_; }
  int64_t images() const { return images_; }
  int64_t batch() const { return options_.batch; }
  /// Of one image.
  int64_t bytes(int value) const { return options_.bytes[static_cast<size_t>(value)]; }

  /// Keeps a value that a reader is about to read, if there is room for it and what is needed beside it.
  void keep(int value);
  /// A node, reader or not, has been passed: what nobody needs any more is forgotten.
  void pass(size_t node);
  /// Calls body(begin, end) for the images, some batches at a time.
  template <class Body>
  void for_images(int64_t batches, Body&& body) const {
    const int64_t step = batches * options_.batch;
    for (int64_t begin = 0; begin < images_; begin += step) body(begin, std::min(begin + step, images_));
  }

 private:
  bool needed(int value, const std::set<int>& kept, std::map<int, bool>& known) const;
  std::set<int> needed_of(const std::set<int>& kept) const;
  void forget_unneeded();

  const Graph& graph_;
  int64_t images_;
  StreamOptions options_;  // its readers are those that are still to come
  Stream float_;
  Stream converted_;
  std::set<int> kept_ = {0};
};

}  // namespace ds
