// Nodes of integer nets on the device that are not products of matrices: one thread for eight
// neighbouring channels.
#pragma once

#include <cuda_runtime.h>

#include "core/dtype.h"
#include "cuda/rescale.cuh"
#include "infer/cuda/geometry.h"

namespace ds::cuda {

/// The values of a node for a batch: [images][height][width][stored], of which the first `channels` of a
/// pixel count and the others are zeros.
struct DeviceValue {
  void* data = nullptr;
  DType type = DType::kU8;
  int images = 1;
  int height = 1;
  int width = 1;
  int channels = 1;
  int stored = 1;
};

/// y = rescaled x, pixel by pixel. The input: u8 pixels as they come, that fill nothing up; y may have four
/// stored channels.
void run_input(const DeviceValue& x, const DeviceValue& y, const RescaleArguments& rescale,
               cudaStream_t stream);
void run_scale(const DeviceValue& x, const DeviceValue& y, const RescaleArguments& rescale,
               cudaStream_t stream);

/// `window` has no channels of its own: those of x.
void run_max_pool(const DeviceValue& x, const DeviceValue& y, const infer::cuda::FilterGeometry& window,
                  cudaStream_t stream);
void run_average_pool(const DeviceValue& x, const DeviceValue& y, const infer::cuda::FilterGeometry& window,
                      const RescaleArguments& rescale, cudaStream_t stream);

/// y = sat((a << shift_a) + (b << shift_b) + half(shift)) >> shift).
struct AddArguments {
  int shift_a = 0;
  int shift_b = 0;
  int shift = 0;
  int32_t low = 0;
  int32_t high = 0;
};
void run_add(const DeviceValue& a, const DeviceValue& b, const DeviceValue& y, const AddArguments& add,
             cudaStream_t stream);

void run_clamp(const DeviceValue& x, const DeviceValue& y, int32_t low, int32_t high, cudaStream_t stream);

/// Channels [begin, end) of y: those of x from there on, of every stride-th pixel, and zeros behind them.
struct CopyArguments {
  int begin = 0;
  int end = 0;
  int first = 0;  // the channel of y that takes x's first
  int stride_height = 1;
  int stride_width = 1;
};
void run_copy(const DeviceValue& x, const DeviceValue& y, const CopyArguments& copy, cudaStream_t stream);

/// Height, width and channels of x as the channels of one pixel.
void run_flatten(const DeviceValue& x, const DeviceValue& y, cudaStream_t stream);

/// A convolution by shifts and additions alone, a thread an output: any groups, any sums.
struct ShiftFilterArguments {
  infer::cuda::FilterGeometry geometry;  // channels: of a pixel of x in memory
  RescaleArguments rescale;
  int group_inputs = 1;
  int group_outputs = 1;
  const uint8_t* codes =
      nullptr;  // [taps group_inputs][outputs]: 0 is nothing, else the shift + 1, 0x80 the sign
  int outputs = 0;
};
void run_shift_filter(const DeviceValue& x, const DeviceValue& y, const ShiftFilterArguments& filter,
                      cudaStream_t stream);

}  // namespace ds::cuda
