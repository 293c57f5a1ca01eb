// Sums over calibration images of what a layer reads and what it should give: all that least squares needs.
#pragma once

#include <cstdint>
#include <vector>

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds {

/// Of one group of filters: x a window's values, y the float layer's outputs there without bias.
struct GroupMoments {
  int64_t depth = 0;            // of a window: kh kw I/groups, or I
  int64_t outputs = 0;          // filters of the group
  std::vector<double> x = {};   // mean of x
  std::vector<double> y = {};   // mean of y
  std::vector<double> xx = {};  // mean of x x^T, [depth][depth]
  std::vector<double> yx = {};  // mean of y x^T, [outputs][depth]
  std::vector<double> yy = {};  // mean of y^2, by output

  /// Makes them moments about the means, which stay.
  void centre();
  /// Mean of (w^T x)^2, by filter, of rows of `depth` numbers.
  std::vector<double> squares(const std::vector<double>& filters) const;
  /// Mean of (y - w^T x)^2 likewise, of the filters of outputs from `first` on.
  /// `squares`: theirs.
  std::vector<double> errors(const std::vector<double>& filters, const std::vector<double>& squares,
                             int64_t first = 0) const;
};

class MomentSums {
 public:
  /// `weight`: O,kh,kw,I/groups, or O,I for a linear layer.
  MomentSums(const Shape& weight, const Conv2dOptions& options);

  /// x: N,H,W,I or N,I; y: N,H',W',O or N,O. f32, on the CPU. The windows of a few images are there at a
  /// time.
  void add(const Tensor& x, const Tensor& y);
  /// By group; the sums are gone then.
  std::vector<GroupMoments> moments() &&;

 private:
  void add_images(const Tensor& x, const Tensor& y);
  void add_group(const Tensor& windows, const Tensor& y, size_t group);

  Shape weight_;
  Conv2dOptions options_;
  int64_t count_ = 0;
  std::vector<GroupMoments> sums_;
};

}  // namespace ds
