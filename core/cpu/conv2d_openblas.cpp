// Convolution as im2col + gemm: the baseline that latencies are compared with.
//
// A *panel* holds, for a block of output pixels, one row a pixel: the inputs that its filter positions read,
// in the order kh, kw, channel of the weights. Then, with P pixels, O outputs and K = kh kw I,
//   forward          y[P,O]   = panel[P,K] w[O,K]^T
//   backward weight  dw[O,K]  = dy[P,O]^T panel[P,K]
//   backward data    panel gradient[P,K] = dy[P,O] w[O,K], added back where im2col had read (col2im).
// With stride 1, backward data is instead the forward convolution of dy with the filters flipped and
// transposed: gathering is cheaper than adding back, and its matrix product has the longer sums.
#include <algorithm>
#include <vector>

#include "core/cpu/blas.h"
#include "core/cpu/conv2d_geometry.h"
#include "core/cpu/engines.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kPanelBytes = 512 << 10;   // of one chunk: stays in the L2 cache
constexpr int64_t kMinPixels = 256;          // of one chunk: pays for packing the weights once more
constexpr int64_t kMaxPartials = 16;         // partial sums of a weight gradient, added in order
constexpr int64_t kPartialBytes = 32 << 20;  // and the memory they may take together
constexpr int64_t kEnoughChunks = 8;         // below that the outputs are cut too
constexpr int64_t kMinOutputs = 128;

int64_t depth_of(const Conv2dGeometry& g) { return g.positions() * g.group_channels(); }

template <class T>
int64_t pixels_per_panel(const Conv2dGeometry& g) {
  const int64_t row_bytes = std::max<int64_t>(1, depth_of(g) * static_cast<int64_t>(sizeof(T)));
  return std::max(kMinPixels, kPanelBytes / row_bytes);
}

/// Outputs of one group that a chunk computes when the pixels alone make `pixel_chunks` chunks.
int64_t outputs_per_chunk(const Conv2dGeometry& g, int64_t pixel_chunks) {
  if (pixel_chunks >= kEnoughChunks || g.group_outputs() <= kMinOutputs) return g.group_outputs();
  return std::max(kMinOutputs, chunk_count(g.group_outputs(), chunk_count(kEnoughChunks, pixel_chunks)));
}

/// True when the panel of a group is x itself, rows `channels` apart.
bool panel_is_input(const Conv2dGeometry& g) {
  return g.positions() == 1 && g.options.stride == Size2d(1) && g.options.padding == Size2d(0);
}

/// One kernel row of one pixel: `kernel.width` taps from input column `column` on.
template <class T>
T* copy_taps(const Conv2dGeometry& g, const T* source_row, int64_t column, T* target) {
  const int64_t channels = g.group_channels();
  if (g.options.groups == 1 && g.options.dilation.width == 1) {  // neighbouring taps are neighbours in memory
    const int64_t begin = std::clamp<int64_t>(-column, 0, g.kernel.width);
    const int64_t end = std::clamp<int64_t>(g.input.width - column, begin, g.kernel.width);
    target = std::fill_n(target, begin * channels, T(0));
    target = std::copy_n(source_row + (column + begin) * channels, (end - begin) * channels, target);
    return std::fill_n(target, (g.kernel.width - end) * channels, T(0));
  }
  for (int64_t kw = 0; kw < g.kernel.width; ++kw, column += g.options.dilation.width) {
    if (column < 0 || column >= g.input.width) {
      target = std::fill_n(target, channels, T(0));
    } else {
      target = std::copy_n(source_row + column * g.channels, channels, target);
    }
  }
  return target;
}

/// The panel of output pixels [begin, end), counted over all images. x points at the group's first channel.
template <class T>
void im2col(const Conv2dGeometry& g, const T* x, int64_t begin, int64_t end, T* panel) {
  for (int64_t pixel = begin; pixel < end; ++pixel) {
    const T* image = x + pixel / g.output_pixels() * g.input_pixels() * g.channels;
    const int64_t row = pixel % g.output_pixels() / g.output.width;
    const int64_t column = pixel % g.output.width * g.options.stride.width - g.options.padding.width;
    for (int64_t kh = 0; kh < g.kernel.height; ++kh) {
      const int64_t source =
          row * g.options.stride.height + kh * g.options.dilation.height - g.options.padding.height;
      if (source < 0 || source >= g.input.height) {
        panel = std::fill_n(panel, g.kernel.width * g.group_channels(), T(0));
      } else {
        panel = copy_taps(g, image + source * g.input.width * g.channels, column, panel);
      }
    }
  }
}

/// Adds the panel of one image's output pixels [begin, end) back to dx; both point at the group's first
/// channel.
template <class T>
void col2im(const Conv2dGeometry& g, const T* panel, int64_t begin, int64_t end, T* dx) {
  const int64_t channels = g.group_channels();
  for (int64_t pixel = begin; pixel < end; ++pixel, panel += depth_of(g)) {
    for_each_input(g, pixel / g.output.width, pixel % g.output.width, [&](int64_t position, int64_t input) {
      const T* source = panel + position * channels;
      T* target = dx + input * g.channels;
      for (int64_t c = 0; c < channels; ++c) target[c] += source[c];
    });
  }
}

/// Panels of one chunk: memory of its own, or none where the panel is x itself.
template <class T>
class PanelSource {
 public:
  PanelSource(const Conv2dGeometry& g, const T* x, int64_t pixels) : g_(g), x_(x) {
    if (!panel_is_input(g))
      memory_ = Tensor::empty({std::max<int64_t>(1, pixels * depth_of(g))}, dtype_of<T>());
  }

  MatrixView<T> panel(int64_t group, int64_t begin, int64_t end) {
    const T* x = x_ + group * g_.group_channels();
    if (!memory_.defined()) return {.data = x + begin * g_.channels, .pitch = g_.channels};
    T* panel = memory_.data<T>();
    im2col(g_, x, begin, end, panel);
    return {.data = panel, .pitch = depth_of(g_)};
  }

 private:
  const Conv2dGeometry& g_;
  const T* x_;
  Tensor memory_;
};

template <class T>
void forward(const Conv2dGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  const int64_t pixels = g.batch * g.output_pixels();
  const int64_t pixel_grain = pixels_per_panel<T>(g);
  const int64_t pixel_chunks = chunk_count(pixels, pixel_grain);
  const int64_t output_grain = outputs_per_chunk(g, pixel_chunks);
  const int64_t output_chunks = chunk_count(g.group_outputs(), output_grain);
  parallel_chunks(pixel_chunks * output_chunks, [&](int64_t chunk) {
    const int64_t begin = chunk / output_chunks * pixel_grain;
    const int64_t end = std::min(begin + pixel_grain, pixels);
    const int64_t first = chunk % output_chunks * output_grain;
    const int64_t outputs = std::min(output_grain, g.group_outputs() - first);
    PanelSource<T> source(g, x, end - begin);
    for (int64_t group = 0; group < g.options.groups; ++group) {
      const int64_t output = group * g.group_outputs() + first;
      T* target = y + begin * g.outputs + output;
      if (bias != nullptr) {
        for (int64_t p = 0; p < end - begin; ++p) std::copy_n(bias + output, outputs, target + p * g.outputs);
      }
      blas_gemm(
          MatrixProduct<T>{.rows = end - begin,
                           .columns = outputs,
                           .depth = depth_of(g),
                           .a = source.panel(group, begin, end),
                           .b = {.data = w + output * depth_of(g), .pitch = depth_of(g), .transpose = true},
                           .y = target,
                           .y_pitch = g.outputs,
                           .beta = bias != nullptr ? T(1) : T(0)});
    }
  });
}

/// True when backward data is a forward convolution with a padding that is not negative.
bool is_flippable(const Conv2dGeometry& g) {
  return g.options.stride == Size2d(1) &&
         g.options.padding.height <= g.options.dilation.height * (g.kernel.height - 1) &&
         g.options.padding.width <= g.options.dilation.width * (g.kernel.width - 1);
}

/// The convolution that maps dy to dx at stride 1.
Conv2dGeometry flipped(const Conv2dGeometry& g) {
  Conv2dGeometry result = g;
  std::swap(result.input, result.output);
  std::swap(result.channels, result.outputs);
  const Conv2dOptions& o = g.options;
  result.options.padding = {o.dilation.height * (g.kernel.height - 1) - o.padding.height,
                            o.dilation.width * (g.kernel.width - 1) - o.padding.width};
  return result;
}

/// Filters O,position,I of each group as I,reversed position,O.
template <class T>
Tensor flipped_weights(const Conv2dGeometry& g, const T* w) {
  const int64_t channels = g.group_channels();
  const int64_t outputs = g.group_outputs();
  Tensor result = Tensor::empty({g.channels, g.positions(), outputs}, dtype_of<T>());
  T* target = result.data<T>();
  for (int64_t channel = 0; channel < g.channels; ++channel) {
    const T* group = w + channel / channels * outputs * depth_of(g) + channel % channels;
    for (int64_t position = g.positions() - 1; position >= 0; --position) {
      for (int64_t o = 0; o < outputs; ++o) *target++ = group[(o * g.positions() + position) * channels];
    }
  }
  return result;
}

/// Image by image: the windows of one image overlap, those of two do not.
template <class T>
void backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  const int64_t block = std::min(pixels_per_panel<T>(g), g.output_pixels());
  parallel_for(g.batch, 1, [&](int64_t image, int64_t) {
    T* target = dx + image * g.input_pixels() * g.channels;
    std::fill_n(target, g.input_pixels() * g.channels, T(0));
    Tensor memory = Tensor::empty({std::max<int64_t>(1, block * depth_of(g))}, dtype_of<T>());
    T* panel = memory.data<T>();
    for (int64_t begin = 0; begin < g.output_pixels(); begin += block) {
      const int64_t end = std::min(begin + block, g.output_pixels());
      for (int64_t group = 0; group < g.options.groups; ++group) {
        const T* gradient = dy + (image * g.output_pixels() + begin) * g.outputs + group * g.group_outputs();
        const T* filters = w + group * g.group_outputs() * depth_of(g);
        blas_gemm(MatrixProduct<T>{.rows = end - begin,
                                   .columns = depth_of(g),
                                   .depth = g.group_outputs(),
                                   .a = {.data = gradient, .pitch = g.outputs},
                                   .b = {.data = filters, .pitch = depth_of(g)},
                                   .y = panel,
                                   .y_pitch = depth_of(g)});
        col2im(g, panel, begin, end, target + group * g.group_channels());
      }
    }
  });
}

/// Sum of `count` arrays of `size`, one after the other in memory, in order.
template <class T>
void add_partials(const T* partials, int64_t count, int64_t size, T* sum) {
  parallel_for(size, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    std::copy(partials + begin, partials + end, sum + begin);
    for (int64_t partial = 1; partial < count; ++partial) {
      for (int64_t i = begin; i < end; ++i) sum[i] += partials[partial * size + i];
    }
  });
}

template <class T>
void backward_weight(const Conv2dGeometry& g, const T* dy, const T* x, T* dw) {
  const int64_t pixels = g.batch * g.output_pixels();
  const int64_t size = g.outputs * depth_of(g);
  const int64_t affordable =
      std::clamp<int64_t>(kPartialBytes / (size * int64_t{sizeof(T)}), 1, kMaxPartials);
  const int64_t block = pixels_per_panel<T>(g);
  const int64_t pixel_grain = std::max(block, chunk_count(pixels, affordable));
  const int64_t pixel_chunks = chunk_count(pixels, pixel_grain);
  const int64_t output_grain = outputs_per_chunk(g, pixel_chunks);
  const int64_t output_chunks = chunk_count(g.group_outputs(), output_grain);
  Tensor memory = Tensor::empty({pixel_chunks, size}, dtype_of<T>());
  T* partials = memory.data<T>();
  parallel_chunks(pixel_chunks * output_chunks, [&](int64_t chunk) {
    const int64_t partial = chunk / output_chunks;
    const int64_t first = chunk % output_chunks * output_grain;
    const int64_t chunk_end = std::min((partial + 1) * pixel_grain, pixels);
    PanelSource<T> source(g, x, block);
    for (int64_t begin = partial * pixel_grain; begin < chunk_end; begin += block) {
      const int64_t end = std::min(begin + block, chunk_end);
      for (int64_t group = 0; group < g.options.groups; ++group) {
        const int64_t output = group * g.group_outputs() + first;
        blas_gemm(MatrixProduct<T>{
            .rows = std::min(output_grain, g.group_outputs() - first),
            .columns = depth_of(g),
            .depth = end - begin,
            .a = {.data = dy + begin * g.outputs + output, .pitch = g.outputs, .transpose = true},
            .b = source.panel(group, begin, end),
            .y = partials + partial * size + output * depth_of(g),
            .y_pitch = depth_of(g),
            .beta = begin == partial * pixel_grain ? T(0) : T(1)});
      }
    }
  });
  add_partials(partials, pixel_chunks, size, dw);
}

}  // namespace

void conv2d_openblas(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                     Tensor& y) {
  if (y.numel() == 0) return;
  dispatch_float(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    forward(geometry_of(x, w, y, options), x.data<T>(), w.data<T>(),
            bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  });
}

void conv2d_backward_data_openblas(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                   Tensor& dx) {
  if (dx.numel() == 0) return;
  const Conv2dGeometry g = geometry_of(dx, w, dy, options);
  dispatch_float(dx.dtype(), "conv2d_backward_data", [&](auto zero) {
    using T = decltype(zero);
    if (is_flippable(g)) {
      const Tensor filters = flipped_weights(g, w.data<T>());
      forward<T>(flipped(g), dy.data<T>(), filters.data<T>(), nullptr, dx.data<T>());
    } else {
      backward_data(g, dy.data<T>(), w.data<T>(), dx.data<T>());
    }
  });
}

void conv2d_backward_weight_openblas(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                     Tensor& dw) {
  if (dw.numel() == 0) return;
  if (dy.numel() == 0) return dw.fill(0.0);
  dispatch_float(dw.dtype(), "conv2d_backward_weight", [&](auto zero) {
    using T = decltype(zero);
    backward_weight(geometry_of(x, dw, dy, options), dy.data<T>(), x.data<T>(), dw.data<T>());
  });
}

}  // namespace ds::cpu
