// One convolution of the ladder, and what a rung makes of it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/device_memory.h"
#include "infer/cuda/geometry.h"

namespace ds::bench::ladder {

/// Weights are codes of DeepShift-PS with 4 bits (core/shift/codes.h): 0 or +-2^p, p = 0 .. 6. A linear layer
/// is a convolution of one pixel.
struct Problem {
  std::string name;
  infer::cuda::FilterGeometry geometry = {};
  int outputs = 0;                   // a multiple of eight
  std::vector<uint8_t> values = {};  // [images in_height in_width][channels]
  std::vector<uint8_t> codes = {};   // [outputs][depth]
  int layers = 1;                    // of this shape in the network
};

/// A weight as the first kernels held it: `sign` is -1, 0 or 1.
struct ShiftAndSign {
  int32_t shift = 0;
  int32_t sign = 0;
};
ShiftAndSign shift_and_sign(uint8_t code);
int32_t weight_of(uint8_t code);

/// The convolutions and the linear layer of ResNet18 at 224x224, values and weights drawn at random.
std::vector<Problem> resnet18(int batch);
/// Odd sizes, small enough for plain_sums.
std::vector<Problem> small_problems();

/// The same convolution with channels of zeros up to a multiple.
Problem with_whole_channels(const Problem& problem, int multiple);

/// What all rungs must give, [rows][outputs], by a plain loop.
std::vector<int32_t> plain_sums(const Problem& problem);

/// A layer on the device, ready to be started.
struct Prepared {
  std::function<void(cudaStream_t)> start;
  const void* sums = nullptr;  // [rows][outputs]
  bool floats = false;         // otherwise i32
};

Prepared prepare_float(const Problem& problem, cuda::DeviceMemory& memory);
Prepared prepare_shift(const Problem& problem, cuda::DeviceMemory& memory);
Prepared prepare_packed(const Problem& problem, cuda::DeviceMemory& memory);
Prepared prepare_implicit(const Problem& problem, cuda::DeviceMemory& memory);
Prepared prepare_dot_product(const Problem& problem, cuda::DeviceMemory& memory);
Prepared prepare_tensor_cores(const Problem& problem, cuda::DeviceMemory& memory);

}  // namespace ds::bench::ladder
