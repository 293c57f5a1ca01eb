// What a layer gives, measured: where its inputs are rounded in blocks, the blocks' own moments do not say
// how their shares of an output vary together.
#pragma once

#include "layers/compensation/layer_rounding.h"

namespace ds {

/// Sums over output places, by output.
class OutputSums {
 public:
  explicit OutputSums(int64_t outputs);

  /// N,H',W',O or N,O, all of one shape and without bias: of the float layer, as it is now, and with weights
  /// that are only rounded.
  void add(const Tensor& y, const Tensor& now, const Tensor& plain);
  /// `scales`: what the filters were multiplied by. Errors are about the means where those are free.
  OutputStatistics statistics(const std::vector<double>& scales, bool mean_is_free) const;

 private:
  struct Sums {
    double y = 0.0, now = 0.0, plain = 0.0;
    double yy = 0.0, now_now = 0.0, plain_plain = 0.0;
    double y_now = 0.0, y_plain = 0.0;
  };

  int64_t count_ = 0;  // of places
  std::vector<Sums> sums_;
};

}  // namespace ds
