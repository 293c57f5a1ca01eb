// An integer net on a CUDA device: planned once, then replayed as a CUDA graph. Gives the integers of
// infer/reference.h.
//
//   const infer::CudaNet net(integer_net, {.batch = 64});
//   net.run(pixels, images, logits);
//
// Packed weights stay packed in the device's memory and are decoded in registers; convolutions and linear
// layers run on the tensor cores, products of bytes with sums of 32 bits, with rescaling, ReLU and the
// addition of a shortcut in the same kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "infer/integer_net.h"

namespace ds::infer {

struct CudaNetOptions {
  int64_t batch = 1;  // images that are computed together; more are computed in so many at a time
  int device = 0;
  /// Convolutions and linear layers by a plain kernel that shifts and adds and multiplies nothing.
  bool shifts_only = false;
  /// Times every way to run a layer when the net is planned, and takes the fastest. Otherwise the way number
  /// `way` (modulo their number) of each layer is taken: all give the same integers.
  bool tune = true;
  int way = 0;
};

/// How one node is run.
struct CudaStepInfo {
  std::string place;
  std::string kind;
  std::string kernel;
  int64_t weight_bytes = 0;
  double microseconds = 0.0;  // of a batch, on its own, when it was tuned
};

class CudaNet {
 public:
  /// Throws Error where there is no such device or the library was built without CUDA, and, naming the layer,
  /// for weights of two terms (CpuNet runs them).
  explicit CudaNet(const IntegerNet& net, const CudaNetOptions& options = {});
  ~CudaNet();
  CudaNet(const CudaNet&) = delete;
  CudaNet& operator=(const CudaNet&) = delete;

  /// `images` images of u8 pixels H,W,C on the host, one after the other; results [images][result]. May be
  /// called by several threads, which wait for each other.
  void run(const uint8_t* pixels, int64_t images, int32_t* results) const;
  /// The same for tensors on the host: images u8 [N,H,W,C], results i32 [N,...]. Throws Error for another
  /// shape or type.
  Tensor operator()(const Tensor& images) const;

  const IntegerNet& net() const;
  /// Bytes of the values of a batch, and of weights as the kernels read them, on the device.
  int64_t arena_bytes() const;
  int64_t weight_bytes() const;
  std::vector<CudaStepInfo> steps() const;
  /// Milliseconds of each of `runs` replays of the whole net on a batch that lies on the device.
  std::vector<double> time_runs(int64_t runs) const;

 private:
  class Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace ds::infer
