// The judge of convolutions: direct loops, added in double. Every element of a result is computed in one
// place.
#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/conv2d_geometry.h"
#include "core/cpu/engines.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

/// Weights O,kh,kw,I as [group][kh][kw][input channel][output channel] in double: the innermost loop runs
/// over outputs.
template <class T>
std::vector<double> outputs_last(const Conv2dGeometry& g, const T* w) {
  const int64_t columns = g.positions() * g.group_channels();
  std::vector<double> result(static_cast<size_t>(g.outputs * columns));
  for (int64_t o = 0; o < g.outputs; ++o) {
    const int64_t group = o / g.group_outputs();
    for (int64_t column = 0; column < columns; ++column) {
      result[static_cast<size_t>((group * columns + column) * g.group_outputs() + o % g.group_outputs())] =
          static_cast<double>(w[o * columns + column]);
    }
  }
  return result;
}

template <class T>
void forward(const Conv2dGeometry& g, const T* x, const double* w, const T* bias, T* y) {
  const int64_t channels = g.group_channels();
  const int64_t outputs = g.group_outputs();
  parallel_for(g.batch * g.output.height, 1, [&](int64_t row, int64_t) {
    const T* image = x + row / g.output.height * g.input_pixels() * g.channels;
    std::vector<double> sums(static_cast<size_t>(outputs));
    for (int64_t column = 0; column < g.output.width; ++column) {
      for (int64_t group = 0; group < g.options.groups; ++group) {
        for (int64_t o = 0; o < outputs; ++o) {
          sums[o] = bias == nullptr ? 0.0 : static_cast<double>(bias[group * outputs + o]);
        }
        for_each_input(g, row % g.output.height, column, [&](int64_t position, int64_t pixel) {
          const T* source = image + pixel * g.channels + group * channels;
          const double* filters = w + (group * g.positions() + position) * channels * outputs;
          for (int64_t c = 0; c < channels; ++c) {
            for (int64_t o = 0; o < outputs; ++o)
              sums[o] += static_cast<double>(source[c]) * filters[c * outputs + o];
          }
        });
        std::copy(sums.begin(), sums.end(),
                  y + (row * g.output.width + column) * g.outputs + group * outputs);
      }
    }
  });
}

template <class T>
void backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  const int64_t channels = g.group_channels();
  const int64_t outputs = g.group_outputs();
  parallel_for(g.batch * g.input.height, 1, [&](int64_t row, int64_t) {
    const T* image = dy + row / g.input.height * g.output_pixels() * g.outputs;
    std::vector<double> sums(static_cast<size_t>(channels));
    for (int64_t column = 0; column < g.input.width; ++column) {
      for (int64_t group = 0; group < g.options.groups; ++group) {
        std::fill(sums.begin(), sums.end(), 0.0);
        for_each_output(g, row % g.input.height, column, [&](int64_t position, int64_t pixel) {
          for (int64_t o = group * outputs; o < (group + 1) * outputs; ++o) {
            const auto gradient = static_cast<double>(image[pixel * g.outputs + o]);
            const T* filter = w + (o * g.positions() + position) * channels;
            for (int64_t c = 0; c < channels; ++c) sums[c] += gradient * static_cast<double>(filter[c]);
          }
        });
        std::copy(sums.begin(), sums.end(),
                  dx + (row * g.input.width + column) * g.channels + group * channels);
      }
    }
  });
}

/// One filter of dw after another.
template <class T>
void backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, T* dw) {
  const int64_t channels = g.group_channels();
  parallel_for(g.outputs, 1, [&](int64_t o, int64_t) {
    const int64_t first_channel = o / g.group_outputs() * channels;
    std::vector<double> sums(static_cast<size_t>(g.positions() * channels));
    for (int64_t pixel = 0; pixel < g.batch * g.output_pixels(); ++pixel) {
      const T* image = x + pixel / g.output_pixels() * g.input_pixels() * g.channels + first_channel;
      const auto gradient = static_cast<double>(dy[pixel * g.outputs + o]);
      const int64_t row = pixel % g.output_pixels() / g.output.width;
      for_each_input(g, row, pixel % g.output.width, [&](int64_t position, int64_t input) {
        const T* source = image + input * g.channels;
        for (int64_t c = 0; c < channels; ++c) {
          sums[position * channels + c] += gradient * static_cast<double>(source[c]);
        }
      });
    }
    std::copy(sums.begin(), sums.end(), dw + o * g.positions() * channels);
  });
}

}  // namespace

void conv2d_reference(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                      Tensor& y) {
  const Conv2dGeometry g = geometry_of(x, w, y, options);
  dispatch_float(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    const std::vector<double> filters = outputs_last(g, w.data<T>());
    forward(g, x.data<T>(), filters.data(), bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  });
}

void conv2d_backward_data_reference(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                    Tensor& dx) {
  const Conv2dGeometry g = geometry_of(dx, w, dy, options);
  dispatch_float(dx.dtype(), "conv2d_backward_data", [&](auto zero) {
    using T = decltype(zero);
    backward_data(g, dy.data<T>(), w.data<T>(), dx.data<T>());
  });
}

void conv2d_backward_weight_reference(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                      Tensor& dw) {
  const Conv2dGeometry g = geometry_of(x, dw, dy, options);
  dispatch_float(dw.dtype(), "conv2d_backward_weight", [&](auto zero) {
    using T = decltype(zero);
    backward_weight(g, dy.data<T>(), x.data<T>(), dw.data<T>());
  });
}

}  // namespace ds::cpu
