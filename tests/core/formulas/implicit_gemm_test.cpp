// The index arithmetic of convolutions on CUDA devices, on the host: products of the matrices that it
// describes are the convolutions of the reference.
#include "core/formulas/implicit_gemm.h"

#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/ops.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

struct Case {
  Shape x;
  Shape w;
  Conv2dOptions options;
};

const Case kCases[] = {
    {{2, 7, 6, 4}, {6, 3, 3, 4}, {.padding = 1}},
    {{1, 9, 8, 3}, {4, 5, 2, 3}, {.stride = {2, 3}, .padding = {2, 0}}},
    {{2, 8, 9, 6}, {4, 3, 3, 3}, {.stride = 2, .padding = 2, .dilation = {1, 2}, .groups = 2}},
    {{1, 5, 5, 5}, {5, 3, 3, 1}, {.padding = 1, .groups = 5}},
    {{3, 4, 4, 8}, {2, 1, 1, 8}, {.stride = 3}}};

Tensor drawn(const Shape& shape, uint64_t stream) {
  Generator generator(4, stream);
  Tensor tensor = Tensor::empty(shape, DType::kF64);
  fill_normal(tensor, 0.0, 1.0, generator);
  return tensor;
}

double at(const Tensor& tensor, int64_t offset) {
  return offset == kPadding ? 0.0 : tensor.data<double>()[offset];
}

void expect_equal(const Tensor& found, const Tensor& expected) {
  for (int64_t i = 0; i < expected.numel(); ++i) {
    ASSERT_NEAR(found.data<double>()[i], expected.data<double>()[i], 1e-12) << "element " << i;
  }
}

/// y += and dw += through the indices of a group.
void multiply_windows(const ConvolutionIndex& index, int64_t g, const Tensor& x, const Tensor& w,
                      const Tensor& dy, Tensor& y, Tensor& dw) {
  for (int64_t pixel = 0; pixel < index.out_pixels(); ++pixel) {
    for (int64_t output = 0; output < index.group_outputs(); ++output) {
      const int64_t target = pixel * index.out_channels + g * index.group_outputs() + output;
      for (int64_t k = 0; k < index.taps() * index.group_inputs(); ++k) {
        const double value = at(x, index.x_offset(g, pixel, k));
        y.data<double>()[target] += value * at(w, index.w_offset(g, output, k));
        dw.data<double>()[index.w_offset(g, output, k)] += value * at(dy, target);
      }
    }
  }
}

void multiply_turned(const ConvolutionIndex& index, int64_t g, const Tensor& dy, const Tensor& w,
                     Tensor& dx) {
  for (int64_t pixel = 0; pixel < index.in_pixels(); ++pixel) {
    for (int64_t input = 0; input < index.group_inputs(); ++input) {
      const int64_t target = pixel * index.in_channels + g * index.group_inputs() + input;
      for (int64_t k = 0; k < index.taps() * index.group_outputs(); ++k) {
        dx.data<double>()[target] +=
            at(dy, index.dy_offset(g, pixel, k)) * at(w, index.w_offset_turned(g, input, k));
      }
    }
  }
}

TEST(ImplicitGemm, DescribesConvolutionsAndTheirGradients) {
  const test::ScopedEngine reference(Engine::kReference);
  for (const Case& c : kCases) {
    const Tensor x = drawn(c.x, 1);
    const Tensor w = drawn(c.w, 2);
    const Tensor expected = ops::conv2d(x, w, {}, c.options);
    const Tensor dy = drawn(expected.shape(), 3);
    const ConvolutionIndex index(c.x, c.w, expected.shape(), c.options);
    Tensor y = Tensor::zeros(expected.shape(), DType::kF64);
    Tensor dx = Tensor::zeros(c.x, DType::kF64);
    Tensor dw = Tensor::zeros(c.w, DType::kF64);
    for (int64_t g = 0; g < index.groups; ++g) {
      multiply_windows(index, g, x, w, dy, y, dw);
      multiply_turned(index, g, dy, w, dx);
    }
    SCOPED_TRACE(c.x.str() + " " + c.w.str());
    expect_equal(y, expected);
    expect_equal(dx, ops::conv2d_backward_data(dy, w, c.x, c.options));
    expect_equal(dw, ops::conv2d_backward_weight(dy, x, c.w, c.options));
  }
}

}  // namespace
}  // namespace ds
