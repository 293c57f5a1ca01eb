#include "layers/compensation/moments.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/cpu/blas.h"
#include "core/cpu/conv2d/conv2d_geometry.h"
#include "core/ops.h"
#include "core/parallel.h"
#include "layers/compensation/vectors.h"

namespace ds {
namespace {

void add_to(std::vector<double>& sums, const Tensor& part) {
  const auto values = part.span<float>();
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(values[i]);
}

/// The windows of one group as rows [N H' W'][kh kw I/groups].
Tensor windows_of(const cpu::Conv2dGeometry& g, const Tensor& x, int64_t group) {
  const int64_t channels = g.group_channels();
  const int64_t depth = g.positions() * channels;
  Tensor windows = Tensor::zeros({g.batch * g.output_pixels(), depth});
  const float* source = x.data<float>() + group * channels;
  float* target = windows.data<float>();
  parallel_chunks(g.batch * g.output.height, [&](int64_t chunk) {
    const float* image = source + chunk / g.output.height * g.input_pixels() * g.channels;
    for (int64_t column = 0; column < g.output.width; ++column) {
      float* row = target + (chunk * g.output.width + column) * depth;
      cpu::for_each_input(g, chunk % g.output.height, column, [&](int64_t position, int64_t pixel) {
        std::copy_n(image + pixel * g.channels, channels, row + position * channels);
      });
    }
  });
  return windows;
}

/// Columns [begin, begin + count) of rows.
Tensor columns_of(const Tensor& rows, int64_t begin, int64_t count) {
  if (count == rows.size(1)) return rows;
  Tensor part = Tensor::empty({rows.size(0), count});
  const float* source = rows.data<float>() + begin;
  float* target = part.data<float>();
  for (int64_t r = 0; r < rows.size(0); ++r) {
    std::copy_n(source + r * rows.size(1), count, target + r * count);
  }
  return part;
}

}  // namespace

void GroupMoments::centre() {
  for (int64_t i = 0; i < depth; ++i) {
    for (int64_t j = 0; j < depth; ++j) xx[at(i * depth + j)] -= x[at(i)] * x[at(j)];
  }
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < depth; ++i) yx[at(o * depth + i)] -= y[at(o)] * x[at(i)];
    yy[at(o)] -= y[at(o)] * y[at(o)];
  }
}

std::vector<double> GroupMoments::squares(const std::vector<double>& filters) const {
  std::vector<double> products(filters.size());
  constexpr int64_t kRows = 16;
  parallel_for(outputs, kRows, [&](int64_t begin, int64_t end) {
    cpu::blas_gemm(cpu::MatrixProduct<double>{.rows = end - begin,
                                              .columns = depth,
                                              .depth = depth,
                                              .a = {.data = filters.data() + begin * depth, .pitch = depth},
                                              .b = {.data = xx.data(), .pitch = depth},
                                              .y = products.data() + begin * depth,
                                              .y_pitch = depth});
  });
  return dots(products, filters);
}

std::vector<double> GroupMoments::errors(const std::vector<double>& filters) const {
  std::vector<double> result = squares(filters);
  const std::vector<double> mixed = dots(filters, yx);
  for (size_t o = 0; o < result.size(); ++o) {
    result[o] = std::max(yy[o] + result[o] - 2.0 * mixed[o], 0.0);  // the sums are of f32 parts
  }
  return result;
}

std::vector<double> GroupMoments::dots(const std::vector<double>& a, const std::vector<double>& b) const {
  std::vector<double> result(at(outputs));
  for (int64_t o = 0; o < outputs; ++o) {
    result[at(o)] =
        std::inner_product(a.begin() + o * depth, a.begin() + (o + 1) * depth, b.begin() + o * depth, 0.0);
  }
  return result;
}

MomentSums::MomentSums(const Shape& weight, const Conv2dOptions& options)
    : weight_(weight), options_(options) {
  const int64_t depth = weight.numel() / weight[0];
  const int64_t outputs = weight[0] / options.groups;
  const GroupMoments empty{.depth = depth,
                           .outputs = outputs,
                           .x = std::vector<double>(at(depth)),
                           .y = std::vector<double>(at(outputs)),
                           .xx = std::vector<double>(at(depth * depth)),
                           .yx = std::vector<double>(at(outputs * depth)),
                           .yy = std::vector<double>(at(outputs))};
  sums_.assign(at(options.groups), empty);
}

void MomentSums::add(const Tensor& x, const Tensor& y) {
  const Tensor outputs = y.reshape({y.numel() / weight_[0], weight_[0]});
  count_ += outputs.size(0);
  const int64_t group_outputs = weight_[0] / options_.groups;
  for (int64_t group = 0; group < options_.groups; ++group) {
    const Tensor of_group = columns_of(outputs, group * group_outputs, group_outputs);
    if (weight_.rank() == 2) {
      add_group(x, of_group, 0);
    } else {
      const cpu::Conv2dGeometry geometry{.batch = x.size(0),
                                         .input = {x.size(1), x.size(2)},
                                         .output = {y.size(1), y.size(2)},
                                         .kernel = {weight_[1], weight_[2]},
                                         .channels = x.size(3),
                                         .outputs = weight_[0],
                                         .options = options_};
      add_group(windows_of(geometry, x, group), of_group, at(group));
    }
  }
}

void MomentSums::add_group(const Tensor& windows, const Tensor& y, size_t group) {
  GroupMoments& sums = sums_[group];
  add_to(sums.xx, ops::gemm(windows, windows, {.transpose_a = true}));
  add_to(sums.yx, ops::gemm(y, windows, {.transpose_a = true}));
  const Tensor ones = Tensor::full({1, windows.size(0)}, 1.0);
  add_to(sums.x, ops::gemm(ones, windows));
  add_to(sums.y, ops::gemm(ones, y));
  add_to(sums.yy, ops::gemm(ones, ops::arithmetic(Arithmetic::kMultiply, y, y)));
}

std::vector<GroupMoments> MomentSums::moments() && {
  const double factor = 1.0 / static_cast<double>(count_);
  for (GroupMoments& group : sums_) {
    for (std::vector<double>* values : {&group.x, &group.y, &group.xx, &group.yx, &group.yy}) {
      for (double& value : *values) value *= factor;
    }
  }
  return std::move(sums_);
}

}  // namespace ds
