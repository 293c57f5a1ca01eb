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
#include <cstring>

#include "core/cpu/blas.h"
#include "core/cpu/conv2d/conv2d_geometry.h"
#include "core/cpu/engines.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

// Multiply-accumulates up to which OpenBLAS packs no operand, which is faster.
constexpr int64_t kSmallProduct = 1'000'000;
constexpr int64_t kMinSmallPixels = 96;      // of a block worth being that small
constexpr int64_t kMinPixels = 256;          // of any other block: pays for packing the weights once more
constexpr int64_t kPanelBytes = 512 << 10;   // of a block: stays in the L2 cache
constexpr int64_t kMaxPartials = 16;         // partial sums of a weight gradient, added in order
constexpr int64_t kPartialBytes = 32 << 20;  // and the memory they may take together
constexpr int64_t kEnoughChunks = 8;         // below that the outputs are cut too
constexpr int64_t kMinOutputs = 128;

int64_t depth_of(const Conv2dGeometry& g) { return g.positions() * g.group_channels(); }

/// Pixels of a block that makes a small product, or 0 where they would be too few.
int64_t small_block(const Conv2dGeometry& g) {
  const int64_t pixels = kSmallProduct / std::max<int64_t>(1, g.group_outputs() * depth_of(g));
  return pixels >= kMinSmallPixels ? std::min(pixels, kMinPixels) : 0;
}

/// Pixels of one panel.
template <class T>
int64_t pixels_per_panel(const Conv2dGeometry& g) {
  if (const int64_t small = small_block(g); small > 0) return small;
  return std::max(kMinPixels, kPanelBytes / (depth_of(g) * static_cast<int64_t>(sizeof(T))));
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

/// Runs are short: blocks that the compiler turns into single moves are cheaper than a call for each.
template <class T>
void copy_run(const T* source, int64_t count, T* target) {
  constexpr int64_t kBlock = 64 / sizeof(T);
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) std::memcpy(target + i, source + i, kBlock * sizeof(T));
  for (; i + 4 <= count; i += 4) std::memcpy(target + i, source + i, 4 * sizeof(T));
  for (; i < count; ++i) target[i] = source[i];
}

template <class T>
void add_run(const T* __restrict__ source, int64_t count, T* __restrict__ target) {
  for (int64_t i = 0; i < count; ++i) target[i] += source[i];
}

/// Calls body(offset in the kernel row, offset in the image row, elements) for what output pixel `column`
/// reads inside one row of the image. Neighbouring taps that are neighbours in memory make one run; what is
/// not called for is padding.
template <class Body>
void for_each_run(const Conv2dGeometry& g, int64_t column, const Body& body) {
  const int64_t channels = g.group_channels();
  const int64_t dilation = g.options.dilation.width;
  int64_t input = column * g.options.stride.width - g.options.padding.width;
  if (g.options.groups == 1 && dilation == 1) {
    const int64_t begin = std::clamp<int64_t>(-input, 0, g.kernel.width);
    const int64_t end = std::clamp<int64_t>(g.input.width - input, begin, g.kernel.width);
    if (begin < end) body(begin * channels, (input + begin) * channels, (end - begin) * channels);
    return;
  }
  for (int64_t kw = 0; kw < g.kernel.width; ++kw, input += dilation) {
    if (input >= 0 && input < g.input.width) body(kw * channels, input * g.channels, channels);
  }
}

/// Calls body(output column, panel, offset of the image row in x) for each pixel of [begin, end), counted
/// over all images, and each kernel row; the offset is -1 where that row is padding.
template <class T, class Body>
void for_each_kernel_row(const Conv2dGeometry& g, int64_t begin, int64_t end, T* panel, const Body& body) {
  while (begin < end) {
    const int64_t image = begin / g.output_pixels();
    const int64_t output_row = begin % g.output_pixels() / g.output.width;
    const int64_t first = begin % g.output.width;
    const int64_t last = std::min(g.output.width, first + end - begin);
    for (int64_t kh = 0; kh < g.kernel.height; ++kh) {
      const int64_t row =
          output_row * g.options.stride.height + kh * g.options.dilation.height - g.options.padding.height;
      const bool inside = row >= 0 && row < g.input.height;
      const int64_t offset = inside ? (image * g.input.height + row) * g.input.width * g.channels : -1;
      T* target = panel + kh * g.kernel.width * g.group_channels();
      for (int64_t column = first; column < last; ++column, target += depth_of(g))
        body(column, target, offset);
    }
    panel += (last - first) * depth_of(g);
    begin += last - first;
  }
}

/// The panel of output pixels [begin, end). x points at the group's first channel.
template <class T>
void im2col(const Conv2dGeometry& g, const T* x, int64_t begin, int64_t end, T* panel) {
  const int64_t row_size = g.kernel.width * g.group_channels();
  for_each_kernel_row(g, begin, end, panel, [&](int64_t column, T* target, int64_t offset) {
    if (offset < 0) {
      std::fill_n(target, row_size, T(0));
      return;
    }
    const int64_t input = column * g.options.stride.width - g.options.padding.width;
    const int64_t reach = (g.kernel.width - 1) * g.options.dilation.width;
    if (input < 0 || input + reach >= g.input.width) std::fill_n(target, row_size, T(0));
    for_each_run(g, column, [&](int64_t to, int64_t from, int64_t count) {
      copy_run(x + offset + from, count, target + to);
    });
  });
}

/// Adds the panel of output pixels [begin, end) back to dx. dx points at the group's first channel.
template <class T>
void col2im(const Conv2dGeometry& g, const T* panel, int64_t begin, int64_t end, T* dx) {
  for_each_kernel_row(g, begin, end, panel, [&](int64_t column, const T* source, int64_t offset) {
    if (offset < 0) return;
    for_each_run(g, column, [&](int64_t from, int64_t to, int64_t count) {
      add_run(source + from, count, dx + offset + to);
    });
  });
}

/// Panels of one chunk: memory of its own, or none where the panel is x itself.
template <class T>
class PanelSource {
 public:
  PanelSource(const Conv2dGeometry& g, const T* x, int64_t pixels) : g_(g), x_(x) {
    if (!panel_is_input(g)) memory_ = Tensor::empty({pixels * depth_of(g)}, dtype_of<T>());
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

/// The weights of each group as rows O of K, as stored, or as rows K of O.
template <class T>
struct Filters {
  const T* data;
  bool depth_first;

  /// op(b) of the product panel[P,K] op(b)[K,O], from an output of a group on.
  MatrixView<T> view(const Conv2dGeometry& g, int64_t group, int64_t first) const {
    const T* filters = data + group * g.group_outputs() * depth_of(g);
    if (depth_first) return {.data = filters + first, .pitch = g.group_outputs()};
    return {.data = filters + first * depth_of(g), .pitch = depth_of(g), .transpose = true};
  }
};

template <class T>
void forward(const Conv2dGeometry& g, const T* x, const Filters<T>& w, const T* bias, T* y) {
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
      blas_gemm(MatrixProduct<T>{.rows = end - begin,
                                 .columns = outputs,
                                 .depth = depth_of(g),
                                 .a = source.panel(group, begin, end),
                                 .b = w.view(g, group, first),
                                 .y = target,
                                 .y_pitch = g.outputs,
                                 .adds = bias != nullptr});
    }
  });
}

/// Small products are faster with both operands untransposed.
template <class T>
Tensor depth_first_weights(const Conv2dGeometry& g, const T* w) {
  const int64_t outputs = g.group_outputs();
  Tensor result = Tensor::empty({g.options.groups, depth_of(g), outputs}, dtype_of<T>());
  T* target = result.data<T>();
  for (int64_t group = 0; group < g.options.groups; ++group, w += outputs * depth_of(g)) {
    for (int64_t k = 0; k < depth_of(g); ++k) {
      for (int64_t o = 0; o < outputs; ++o) *target++ = w[o * depth_of(g) + k];
    }
  }
  return result;
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

/// Weights O,position,I of each group as the filters of that convolution, depth first: reversed position,O,I.
template <class T>
Tensor flipped_weights(const Conv2dGeometry& g, const T* w) {
  const int64_t channels = g.group_channels();
  Tensor result =
      Tensor::empty({g.options.groups, g.positions(), g.group_outputs(), channels}, dtype_of<T>());
  T* target = result.data<T>();
  for (int64_t group = 0; group < g.options.groups; ++group, w += g.group_outputs() * depth_of(g)) {
    for (int64_t position = g.positions() - 1; position >= 0; --position) {
      for (int64_t o = 0; o < g.group_outputs(); ++o) {
        target = std::copy_n(w + (o * g.positions() + position) * channels, channels, target);
      }
    }
  }
  return result;
}

/// A chunk is whole images: the windows of one image overlap, those of two do not.
template <class T>
void backward_data(const Conv2dGeometry& g, const T* dy, const T* w, T* dx) {
  const int64_t block = pixels_per_panel<T>(g);
  parallel_for(g.batch, std::max<int64_t>(1, block / g.output_pixels()), [&](int64_t first, int64_t last) {
    std::fill(dx + first * g.input_pixels() * g.channels, dx + last * g.input_pixels() * g.channels, T(0));
    const int64_t chunk_end = last * g.output_pixels();
    const int64_t rows = std::min(block, chunk_end - first * g.output_pixels());
    Tensor memory = Tensor::empty({rows * depth_of(g)}, dtype_of<T>());
    T* panel = memory.data<T>();
    for (int64_t begin = first * g.output_pixels(); begin < chunk_end; begin += block) {
      const int64_t end = std::min(begin + block, chunk_end);
      for (int64_t group = 0; group < g.options.groups; ++group) {
        blas_gemm(MatrixProduct<T>{
            .rows = end - begin,
            .columns = depth_of(g),
            .depth = g.group_outputs(),
            .a = {.data = dy + begin * g.outputs + group * g.group_outputs(), .pitch = g.outputs},
            .b = {.data = w + group * g.group_outputs() * depth_of(g), .pitch = depth_of(g)},
            .y = panel,
            .y_pitch = depth_of(g)});
        col2im(g, panel, begin, end, dx + group * g.group_channels());
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
            .adds = begin != partial * pixel_grain});
      }
    }
  });
  add_partials(partials, pixel_chunks, size, dw);
}

}  // namespace

void conv2d_openblas(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                     Tensor& y) {
  if (y.numel() == 0) return;
  const Conv2dGeometry g = geometry_of(x, w, y, options);
  dispatch_float(x.dtype(), "conv2d", [&](auto zero) {
    using T = decltype(zero);
    const bool depth_first = small_block(g) > 0;
    const Tensor filters = depth_first ? depth_first_weights(g, w.data<T>()) : w;
    forward(g, x.data<T>(), Filters<T>{.data = filters.data<T>(), .depth_first = depth_first},
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
      forward<T>(flipped(g), dy.data<T>(), {.data = filters.data<T>(), .depth_first = true}, nullptr,
                 dx.data<T>());
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
