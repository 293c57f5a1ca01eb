// An integer net on the CPU: planned once, then run without allocation (but for what a thread keeps from its
// first run), by many threads at once if need be. Gives the integers of infer/reference.h.
//
//   const infer::CpuNet net(integer_net, {.batch = 8});
//   net.run(pixels, images, logits);
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "infer/integer_net.h"

namespace ds::infer {

struct IntegerKernels;

struct CpuNetOptions {
  int64_t batch = 1;  // images that are computed together; more are computed in so many at a time
  /// Convolutions and linear layers by kernels that shift and add and multiply nothing: what the paper is
  /// about. Slower than dot products where a processor has them.
  bool shifts_only = false;
  /// Of available_integer_kernels() (infer/cpu/kernels/select.h); null: the best of the instruction set in
  /// use (DEEPSHIFT_ISA).
  const IntegerKernels* kernels = nullptr;
};

/// How one node is run.
struct CpuStepInfo {
  std::string place;
  std::string kind;
  std::string kernel;        // "bytes and 4-bit codes, tiles of up to 14 x 32" and the like
  int64_t weight_bytes = 0;  // packed for that kernel
  int64_t operations = 0;    // of one image: two for each weight that meets a value, padding not counted
};

class CpuNet {
 public:
  explicit CpuNet(const IntegerNet& net, const CpuNetOptions& options = {});
  ~CpuNet();
  CpuNet(const CpuNet&) = delete;
  CpuNet& operator=(const CpuNet&) = delete;

  /// `images` images of u8 pixels H,W,C, one after the other; results [images][result], the integers of the
  /// net.
  void run(const uint8_t* pixels, int64_t images, int32_t* results) const;
  /// The same for tensors: images u8 [N,H,W,C], results i32 [N,...]. Throws Error for another shape or type.
  Tensor operator()(const Tensor& images) const;

  const IntegerNet& net() const;
  /// Bytes of the values of a run.
  int64_t arena_bytes() const;
  /// Bytes of weights as the kernels read them.
  int64_t weight_bytes() const;
  std::vector<CpuStepInfo> steps() const;
  /// Seconds of each step in one run of `images` images.
  std::vector<double> time_steps(const uint8_t* pixels, int64_t images) const;

 private:
  class Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace ds::infer
