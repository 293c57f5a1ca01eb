// The nodes of an integer net as kernels on a device.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <string>
#include <vector>

#include "cuda/device_memory.h"
#include "cuda/filter.h"
#include "cuda/row_kernels.h"
#include "infer/cuda/cuda_net.h"
#include "infer/integer_net.h"

namespace ds::cuda {

/// One way to run a node, in words and as what starts it.
struct StepWay {
  std::string kernel;
  std::function<void(cudaStream_t)> start;
};

struct NetStep {
  std::vector<StepWay> ways;  // at least one; all give the same integers
  int64_t weight_bytes = 0;
};

class NetSteps {
 public:
  NetSteps(const infer::IntegerNet& net, const infer::CudaNetOptions& options, DeviceMemory& memory);

  std::vector<NetStep> take() { return std::move(steps_); }
  /// u8 pixels [batch] H,W,C.
  uint8_t* pixels() const { return static_cast<uint8_t*>(pixels_.data); }
  const DeviceValue& result() const { return values_.back(); }
  int64_t arena_bytes() const { return arena_bytes_; }

 private:
  void place_values();
  bool stays_in_place(size_t index) const;
  int stored_channels(size_t index) const;
  bool on_tensor_cores(size_t index, int stored) const;
  void add_step(size_t index);
  NetStep filter_step(size_t index);
  NetStep tensor_core_step(size_t index);
  std::vector<StepWay> tile_ways(FilterArguments args, int bits, DType input);
  std::vector<StepWay> linear_ways(const FilterArguments& args, int bits, DType input) const;
  NetStep shift_step(size_t index);
  std::function<void(cudaStream_t)> row_start(size_t index);
  std::function<void(cudaStream_t)> add_start(size_t index);
  std::function<void(cudaStream_t)> copies_start(size_t index);
  RescaleArguments rescale(size_t index);

  const infer::Node& node(size_t index) const { return net_.nodes()[index]; }
  const DeviceValue& value(int index) const { return values_[static_cast<size_t>(index)]; }
  const DeviceValue& input(size_t index, size_t i = 0) const { return value(node(index).inputs[i]); }

  const infer::IntegerNet& net_;
  const infer::CudaNetOptions& options_;
  DeviceMemory& memory_;
  DeviceValue pixels_;
  std::vector<DeviceValue> values_;  // by node
  std::vector<NetStep> steps_;
  int64_t arena_bytes_ = 0;
  int multiprocessors_ = 1;
};

}  // namespace ds::cuda
