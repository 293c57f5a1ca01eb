#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/conv2d_native.h"
#include "core/cpu/conv2d/correlation.h"
#include "core/cpu/even_pieces.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kMaxWeightPartials = 16;   // partial sums of a weight gradient, added in order
constexpr int64_t kPartialBytes = 32 << 20;  // and the memory they may take
// Pixels that a weight tile sweeps before the next tile does: x and dy stay in the L1 cache.
constexpr int64_t kWeightBlockPixels = 128;

/// One group's weight gradient as [position][channel][padded output]: the images of one chunk, added to
/// `partial`.
struct WeightGradient {
  Correlation correlation;
  Window window;
  TapRuns runs;
  std::vector<Panel> panels;
  int64_t width = 0;  // padded outputs
};

void add_image(const WeightGradient& gradient, const float* scratch, const float* dy, int64_t dy_pitch,
               const DirectKernels& kernels, float* partial) {
  const Size2d count = gradient.correlation.count;
  const Size2d step = gradient.correlation.step;
  const int64_t row_floats = gradient.window.width * gradient.window.channels;
  const int64_t block = std::max<int64_t>(1, kWeightBlockPixels / count.width);
  for (int64_t row = 0; row < count.height; row += block) {
    DirectWeightTile tile{.x = nullptr,
                          .x_row = step.height * row_floats,
                          .x_pitch = step.width * gradient.window.channels,
                          .dy = nullptr,
                          .dy_row = count.width * dy_pitch,
                          .dy_pitch = dy_pitch,
                          .rows = std::min(block, count.height - row),
                          .pixels = count.width,
                          .dw = nullptr,
                          .dw_pitch = gradient.width};
    for (size_t run = 0; run < gradient.runs.offsets.size(); ++run) {
      const float* x = scratch + row * tile.x_row + gradient.runs.offsets[run];
      float* dw = partial + static_cast<int64_t>(run) * gradient.runs.channels * gradient.width;
      int64_t offset = 0;  // padded: panels start at multiples of the vector length
      for (const Panel& panel : gradient.panels) {
        tile.dy = dy + row * tile.dy_row + offset;
        for_even_pieces(gradient.runs.channels, kernels.max_channels[panel.vectors - 1],
                        [&](int64_t begin, int64_t count) {
                          tile.x = x + begin;
                          tile.dw = dw + begin * gradient.width + offset;
                          kernels.weight_tile[panel.vectors - 1][count - 1](tile);
                        });
        offset += int64_t{panel.vectors} * kernels.lanes;
      }
    }
  }
}

}  // namespace

void conv2d_backward_weight_native(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                                   Tensor& dw) {
  const DirectKernels& kernels = direct_kernels();
  const int64_t channels = dw.size(3);
  const int64_t outputs = dw.size(0) / options.groups;
  const int64_t positions = dw.size(1) * dw.size(2);
  const int64_t batch = x.size(0);
  WeightGradient gradient;
  gradient.correlation = forward_correlation(dw.shape(), dy.shape(), options);
  gradient.window = window_of(gradient.correlation, channels);
  gradient.runs = merge_taps(gradient.correlation.taps, gradient.window);
  gradient.panels = panels_of(outputs, kernels.lanes);
  gradient.width = packed_width(gradient.panels, kernels.lanes);
  const int64_t partial_floats = positions * channels * gradient.width;
  const int64_t affordable = std::max<int64_t>(2, kPartialBytes / (partial_floats * int64_t{sizeof(float)}));
  const int64_t grain = chunk_count(batch, std::min({batch, kMaxWeightPartials, affordable}));
  const int64_t chunks = chunk_count(batch, grain);
  const int64_t pixels = dy.size(1) * dy.size(2);
  const bool copy_gradient = options.groups > 1 || gradient.width != outputs;
  Tensor partials = Tensor::empty({chunks * partial_floats});
  for (int64_t group = 0; group < options.groups; ++group) {
    parallel_chunks(chunks, [&](int64_t chunk) {
      float* partial = partials.data<float>() + chunk * partial_floats;
      std::fill_n(partial, partial_floats, 0.0F);
      Tensor memory = Tensor::empty({gradient.window.size() + (copy_gradient ? pixels * gradient.width : 0)});
      float* scratch = memory.data<float>();
      for (int64_t n = chunk * grain; n < std::min(batch, (chunk + 1) * grain); ++n) {
        fill_window(gradient.window, x.data<float>() + n * x.size(1) * x.size(2) * x.size(3),
                    {x.size(1), x.size(2)}, x.size(3), group * channels, scratch);
        const float* image_dy = dy.data<float>() + n * pixels * dy.size(3);
        if (copy_gradient) {  // pads the output channels to whole vectors
          float* copy = scratch + gradient.window.size();
          for (int64_t p = 0; p < pixels; ++p) {
            std::copy_n(image_dy + p * dy.size(3) + group * outputs, outputs, copy + p * gradient.width);
            std::fill_n(copy + p * gradient.width + outputs, gradient.width - outputs, 0.0F);
          }
          image_dy = copy;
        }
        add_image(gradient, scratch, image_dy, gradient.width, kernels, partial);
      }
    });
    float* target = dw.data<float>() + group * outputs * positions * channels;
    const float* source = partials.data<float>();
    parallel_for(positions * channels, 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {  // row = position * channels + channel
        for (int64_t o = 0; o < outputs; ++o) {
          float sum = 0.0F;
          for (int64_t chunk = 0; chunk < chunks; ++chunk)
            sum += source[chunk * partial_floats + row * gradient.width + o];
          target[o * positions * channels + row] = sum;
        }
      }
    });
  }
}

}  // namespace ds::cpu
