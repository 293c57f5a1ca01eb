// The sizes of one convolution, and which pixels of x and y each kernel position joins.
//
// Along each axis, output i and kernel position k read input i * stride + k * dilation - padding, which is
// padding (zero) when it lies outside the input.
#pragma once

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cpu {

struct Conv2dGeometry {
  int64_t batch = 0;
  Size2d input = 0;
  Size2d output = 0;
  Size2d kernel = 0;
  int64_t channels = 0;  // of x
  int64_t outputs = 0;   // channels of y
  Conv2dOptions options;

  int64_t group_channels() const { return channels / options.groups; }
  int64_t group_outputs() const { return outputs / options.groups; }
  int64_t positions() const { return kernel.height * kernel.width; }
  int64_t input_pixels() const { return input.height * input.width; }
  int64_t output_pixels() const { return output.height * output.width; }
};

/// w gives the kernel's size alone: it may be the weights or their gradient.
inline Conv2dGeometry geometry_of(const Tensor& x, const Tensor& w, const Tensor& y,
                                  const Conv2dOptions& options) {
  return {.batch = x.size(0),
          .input = {x.size(1), x.size(2)},
          .output = {y.size(1), y.size(2)},
          .kernel = {w.size(1), w.size(2)},
          .channels = x.size(3),
          .outputs = y.size(3),
          .options = options};
}

/// Calls body(kernel position, input pixel) for every position that reads a pixel inside the image for this
/// output.
template <class Body>
void for_each_input(const Conv2dGeometry& g, int64_t output_row, int64_t output_column, const Body& body) {
  for (int64_t kh = 0; kh < g.kernel.height; ++kh) {
    const int64_t row =
        output_row * g.options.stride.height + kh * g.options.dilation.height - g.options.padding.height;
    if (row < 0 || row >= g.input.height) continue;
    for (int64_t kw = 0; kw < g.kernel.width; ++kw) {
      const int64_t column =
          output_column * g.options.stride.width + kw * g.options.dilation.width - g.options.padding.width;
      if (column < 0 || column >= g.input.width) continue;
      body(kh * g.kernel.width + kw, row * g.input.width + column);
    }
  }
}

/// Calls body(kernel position, output pixel) for every output that reads this input: the same pairs, seen
/// from x.
template <class Body>
void for_each_output(const Conv2dGeometry& g, int64_t input_row, int64_t input_column, const Body& body) {
  for (int64_t kh = 0; kh < g.kernel.height; ++kh) {
    const int64_t row = input_row + g.options.padding.height - kh * g.options.dilation.height;
    if (row < 0 || row % g.options.stride.height != 0 || row / g.options.stride.height >= g.output.height)
      continue;
    for (int64_t kw = 0; kw < g.kernel.width; ++kw) {
      const int64_t column = input_column + g.options.padding.width - kw * g.options.dilation.width;
      if (column < 0 || column % g.options.stride.width != 0) continue;
      if (column / g.options.stride.width >= g.output.width) continue;
      body(kh * g.kernel.width + kw,
           row / g.options.stride.height * g.output.width + column / g.options.stride.width);
    }
  }
}

/// The weights of a depthwise convolution, [channel][position], as [position][channel].
template <class T>
Tensor depthwise_channels_last(const Tensor& w) {
  const int64_t channels = w.size(0);
  const int64_t positions = w.size(1) * w.size(2);
  Tensor result = Tensor::empty({positions, channels}, w.dtype());
  const T* source = w.data<T>();
  T* target = result.data<T>();
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < positions; ++p) target[p * channels + c] = source[c * positions + p];
  }
  return result;
}

}  // namespace ds::cpu
