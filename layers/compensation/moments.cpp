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

constexpr int64_t kWindowBytes = int64_t{64} << 20;
constexpr int64_t kBlock = 256;  // columns whose products with others are computed together

double dot(const double* a, const double* b, int64_t count) {
  return std::inner_product(a, a + count, b, 0.0);
}

/// Adds X^T X of rows X to the upper triangle of `sums`, a block of it at a time.
void add_squares(const Tensor& rows, std::vector<double>& sums) {
  const int64_t depth = rows.size(1);
  const int64_t blocks = chunk_count(depth, kBlock);
  parallel_chunks(blocks * blocks, [&](int64_t chunk) {
    const int64_t row = chunk / blocks * kBlock;
    const int64_t column = chunk % blocks * kBlock;
    if (column < row) return;
    const int64_t height = std::min(kBlock, depth - row);
    const int64_t width = std::min(kBlock, depth - column);
    Tensor products = Tensor::empty({height, width});
    cpu::blas_gemm(
        cpu::MatrixProduct<float>{.rows = height,
                                  .columns = width,
                                  .depth = rows.size(0),
                                  .a = {.data = rows.data<float>() + row, .pitch = depth, .transpose = true},
                                  .b = {.data = rows.data<float>() + column, .pitch = depth},
                                  .y = products.data<float>(),
                                  .y_pitch = width});
    for (int64_t i = 0; i < height; ++i) {
      const float* source = products.data<float>() + i * width;
      double* target = sums.data() + (row + i) * depth + column;
      for (int64_t j = 0; j < width; ++j) target[j] += static_cast<double>(source[j]);
    }
  });
}

/// What is above the diagonal, below it too.
void mirror(std::vector<double>& matrix, int64_t depth) {
  for (int64_t i = 0; i < depth; ++i) {
    for (int64_t j = 0; j < i; ++j) matrix[at(i * depth + j)] = matrix[at(j * depth + i)];
  }
}

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
  const auto count = static_cast<int64_t>(filters.size()) / depth;
  std::vector<double> products(filters.size());
  std::vector<double> result(at(count));
  constexpr int64_t kRows = 16;
  parallel_for(count, kRows, [&](int64_t begin, int64_t end) {
    cpu::blas_gemm(cpu::MatrixProduct<double>{.rows = end - begin,
                                              .columns = depth,
                                              .depth = depth,
                                              .a = {.data = filters.data() + begin * depth, .pitch = depth},
                                              .b = {.data = xx.data(), .pitch = depth},
                                              .y = products.data() + begin * depth,
                                              .y_pitch = depth});
    for (int64_t o = begin; o < end; ++o)
      result[at(o)] = dot(&products[at(o * depth)], &filters[at(o * depth)], depth);
  });
  return result;
}

std::vector<double> GroupMoments::errors(const std::vector<double>& filters,
                                         const std::vector<double>& squares, int64_t first) const {
  std::vector<double> result = squares;
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t o = at(first) + i;
    const double mixed = dot(&filters[i * at(depth)], &yx[o * at(depth)], depth);
    result[i] = std::max(yy[o] + result[i] - 2.0 * mixed, 0.0);  // the sums are of f32 parts
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
  if (weight_.rank() == 2) return add_group(x, y, 0);
  const int64_t window = weight_.numel() / weight_[0] * static_cast<int64_t>(sizeof(float));
  const int64_t images = std::max<int64_t>(1, kWindowBytes / (y.size(1) * y.size(2) * window));
  for (int64_t begin = 0; begin < x.size(0); begin += images) {
    const int64_t end = std::min(begin + images, x.size(0));
    add_images(x.slice(begin, end), y.slice(begin, end));
  }
}

void MomentSums::add_images(const Tensor& x, const Tensor& y) {
  const cpu::Conv2dGeometry geometry{.batch = x.size(0),
                                     .input = {x.size(1), x.size(2)},
                                     .output = {y.size(1), y.size(2)},
                                     .kernel = {weight_[1], weight_[2]},
                                     .channels = x.size(3),
                                     .outputs = weight_[0],
                                     .options = options_};
  const Tensor outputs = y.reshape({y.numel() / weight_[0], weight_[0]});
  const int64_t group_outputs = weight_[0] / options_.groups;
  for (int64_t group = 0; group < options_.groups; ++group) {
    add_group(windows_of(geometry, x, group), columns_of(outputs, group * group_outputs, group_outputs),
              at(group));
  }
}

void MomentSums::add_group(const Tensor& windows, const Tensor& y, size_t group) {
  GroupMoments& sums = sums_[group];
  if (group == 0) count_ += y.size(0);
  add_squares(windows, sums.xx);
  add_to(sums.yx, ops::gemm(y, windows, {.transpose_a = true}));
  const Tensor ones = Tensor::full({1, windows.size(0)}, 1.0);
  add_to(sums.x, ops::gemm(ones, windows));
  add_to(sums.y, ops::gemm(ones, y));
  add_to(sums.yy, ops::gemm(ones, ops::arithmetic(Arithmetic::kMultiply, y, y)));
}

std::vector<GroupMoments> MomentSums::moments() && {
  const double factor = 1.0 / static_cast<double>(count_);
  for (GroupMoments& group : sums_) {
    mirror(group.xx, group.depth);
    for (std::vector<double>* values : {&group.x, &group.y, &group.xx, &group.yx, &group.yy}) {
      for (double& value : *values) value *= factor;
    }
  }
  return std::move(sums_);
}

}  // namespace ds
