#include "core/cpu/conv2d/conv2d_native.h"

#include <algorithm>
#include <vector>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/kernels/direct.h"
#include "core/cpu/kernels/select.h"
#include "core/parallel.h"

namespace ds::cpu {
namespace {

constexpr int64_t kPackedBlock = 16;  // channels turned round together: a cache line of each output's weights

/// Along which of these an operand's weights are neighbours.
enum class Along : uint8_t { kChannels, kOutputs };

/// Weights of one group as [panel][tap][channel, or pair of channels][lanes of the panel], zero beyond the
/// last output channel. weight(tap index, channel, output) reads them.
template <Along kAlong, class Weight>
void pack_weights(const std::vector<Tap>& taps, int64_t channels, const std::vector<Panel>& panels,
                  const DirectKernels& kernels, const Weight& weight, float* packed) {
  const int64_t words = static_cast<int64_t>(taps.size()) * channels / kernels.values;
  parallel_chunks(static_cast<int64_t>(panels.size()), [&](int64_t chunk) {
    const Panel& panel = panels[static_cast<size_t>(chunk)];
    const int64_t width = int64_t{panel.vectors} * kernels.lanes;
    std::vector<float> block(static_cast<size_t>(kPackedBlock * width));
    float* row = packed + words * panel.first;
    for (const Tap& tap : taps) {
      for (int64_t first = 0; first < channels; first += kPackedBlock) {
        const int64_t count = std::min(kPackedBlock, channels - first);
        const auto copy = [&](int64_t c, int64_t o) {
          block[static_cast<size_t>(c * width + o)] = weight(tap.index, first + c, panel.first + o);
        };
        if constexpr (kAlong == Along::kChannels) {
          for (int64_t o = 0; o < panel.outputs; ++o)
            for (int64_t c = 0; c < count; ++c) copy(c, o);
        } else {
          for (int64_t c = 0; c < count; ++c)
            for (int64_t o = 0; o < panel.outputs; ++o) copy(c, o);
        }
        if (kernels.values == 1) {
          row = std::copy_n(block.data(), count * width, row);
          continue;
        }
        for (int64_t c = 0; c < count; c += kernels.values, row += width) {
          kernels.pair_rows(&block[static_cast<size_t>(c * width)],
                            &block[static_cast<size_t>((c + 1) * width)], width, row);
        }
      }
    }
  });
}

}  // namespace

DirectFilters pack_direct(const Tensor& w, const Tensor& bias, int64_t groups, Precision precision) {
  const DirectKernels& kernels = direct_kernels(precision);
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / groups;
  const int64_t positions = w.size(1) * w.size(2);
  const std::vector<Panel> panels = panels_of(outputs, kernels.lanes);
  const int64_t width = packed_width(panels, kernels.lanes);
  const int64_t size = positions * channels / kernels.values * width;
  std::vector<Tap> taps(static_cast<size_t>(positions));
  for (int64_t i = 0; i < positions; ++i) taps[static_cast<size_t>(i)].index = i;
  DirectFilters filters{.shape = w.shape(),
                        .packed = Tensor::empty({groups, size}),
                        .bias = bias.defined() ? Tensor::zeros({groups, width}) : Tensor{},
                        .precision = precision};
  for (int64_t group = 0; group < groups; ++group) {
    const float* weights = w.data<float>() + group * outputs * positions * channels;
    pack_weights<Along::kChannels>(
        taps, channels, panels, kernels,
        [&](int64_t tap, int64_t c, int64_t o) { return weights[(o * positions + tap) * channels + c]; },
        filters.packed.data<float>() + group * size);
    if (!bias.defined()) continue;
    std::copy_n(bias.data<float>() + group * outputs, outputs, filters.bias.data<float>() + group * width);
  }
  return filters;
}

void conv2d_direct(const Tensor& x, const DirectFilters& filters, const Conv2dOptions& options,
                   const Conv2dEpilogue& epilogue, Tensor& y) {
  const Shape& w = filters.shape;
  const int64_t outputs = w[0] / options.groups;
  const Correlation correlation = forward_correlation(w, y.shape(), options);
  const std::vector<Panel> panels = panels_of(outputs, direct_kernels().lanes);
  for (int64_t group = 0; group < options.groups; ++group) {
    const Images images{.source = x.data<float>(),
                        .source_size = {x.size(1), x.size(2)},
                        .source_pitch = x.size(3),
                        .source_from = group * w[3],
                        .source_channels = w[3],
                        .target = y.data<float>(),
                        .target_size = {y.size(1), y.size(2)},
                        .target_pitch = y.size(3),
                        .target_from = group * outputs,
                        .target_floats = y.numel()};
    const Filters of_group{
        .precision = filters.precision,
        .panels = panels,
        .packed = filters.packed.slice(group, group + 1).data<float>(),
        .bias = filters.bias.defined() ? filters.bias.slice(group, group + 1).data<float>() : nullptr,
        .epilogue = epilogue};
    correlate(correlation, images, of_group, x.size(0));
  }
}

void conv2d_native(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                   Precision precision, Tensor& y) {
  conv2d_direct(x, pack_direct(w, bias, options.groups, precision), options, {}, y);
}

void conv2d_backward_data_native(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                                 Precision precision, Tensor& dx) {
  const DirectKernels& kernels = direct_kernels(precision);
  const int64_t channels = w.size(3);
  const int64_t outputs = w.size(0) / options.groups;
  const int64_t positions = w.size(1) * w.size(2);
  const std::vector<Correlation> phases = backward_correlations(dx.shape(), w.shape(), options);
  if (pixels_covered(phases) < dx.size(1) * dx.size(2)) dx.fill(0.0);
  const std::vector<Panel> panels = panels_of(channels, kernels.lanes);
  Tensor packed = Tensor::empty({positions * outputs * packed_width(panels, kernels.lanes)});
  const Filters filters{.precision = precision,
                        .panels = panels,
                        .packed = packed.data<float>(),
                        .bias = nullptr,
                        .epilogue = {}};
  for (int64_t group = 0; group < options.groups; ++group) {
    const float* weights = w.data<float>() + group * outputs * positions * channels;
    const Images images{.source = dy.data<float>(),
                        .source_size = {dy.size(1), dy.size(2)},
                        .source_pitch = dy.size(3),
                        .source_from = group * outputs,
                        .source_channels = outputs,
                        .target = dx.data<float>(),
                        .target_size = {dx.size(1), dx.size(2)},
                        .target_pitch = dx.size(3),
                        .target_from = group * channels,
                        .target_floats = dx.numel()};
    for (const Correlation& phase : phases) {
      pack_weights<Along::kOutputs>(
          phase.taps, outputs, panels, kernels,
          [&](int64_t tap, int64_t o, int64_t c) { return weights[(o * positions + tap) * channels + c]; },
          packed.data<float>());
      correlate(phase, images, filters, dy.size(0));
    }
  }
}

}  // namespace ds::cpu
