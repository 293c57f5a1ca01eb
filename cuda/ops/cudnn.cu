// Convolutions by cuDNN: f32, or with products of another precision, channels last, by the first algorithm of
// its suggestions that is deterministic and whose workspace is not too large. Suggestions are asked for once
// a shape. Tensors of up to 2^31 elements, which is as many as it counts.
#include <cudnn.h>

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>

#include "core/backend.h"
#include "cuda/compute.h"
#include "cuda/ops/conv2d.h"
#include "cuda/ops/kernels.h"
#include "cuda/per_device.h"

namespace ds::cuda {
namespace {

void check_cudnn(cudnnStatus_t status, const char* what) {
  DS_CHECK(status == CUDNN_STATUS_SUCCESS, "[cudnn] {}: {}", what, cudnnGetErrorString(status));
}

/// What it does not know is no error. Since version 9 a status is a category and, below a thousand, the
/// reason.
bool is_not_known(cudnnStatus_t status) {
#ifdef CUDNN_STATUS_CATEGORY
  status = static_cast<cudnnStatus_t>(CUDNN_STATUS_CATEGORY(static_cast<int>(status)));
#endif
  return status == CUDNN_STATUS_NOT_SUPPORTED || status == CUDNN_STATUS_BAD_PARAM;
}

constexpr size_t kMostWorkspace = size_t{1} << 30;

/// What a plan of a device depends on.
using Key =
    std::tuple<std::array<int64_t, 4>, std::array<int64_t, 4>, std::array<int64_t, 7>, Direction, Precision>;

std::array<int64_t, 4> sizes_of(const Tensor& tensor) {
  return {tensor.size(0), tensor.size(1), tensor.size(2), tensor.size(3)};
}

Key key_of(const Convolution& c) {
  const Conv2dOptions& o = c.options;
  return {sizes_of(c.x),
          sizes_of(c.w),
          {o.stride.height, o.stride.width, o.padding.height, o.padding.width, o.dilation.height,
           o.dilation.width, o.groups},
          c.direction,
          precision()};
}

cudnnHandle_t handle_of(int index) {
  static auto* handles = new PerDevice<cudnnHandle_t>();
  const cudaStream_t stream = compute_stream(index);
  return handles->get(index, [&] {
    cudnnHandle_t handle = nullptr;
    check_cudnn(cudnnCreate(&handle), "starting");
    check_cudnn(cudnnSetStream(handle, stream), "choosing a stream");
    return handle;
  });
}

/// The descriptions of a convolution, and the algorithm chosen for it.
class Plan {
 public:
  explicit Plan(const Convolution& c) {
    check_cudnn(cudnnCreateTensorDescriptor(&x_), "describing a tensor");
    check_cudnn(cudnnCreateTensorDescriptor(&y_), "describing a tensor");
    check_cudnn(cudnnCreateFilterDescriptor(&w_), "describing a filter");
    check_cudnn(cudnnCreateConvolutionDescriptor(&convolution_), "describing a convolution");
    describe(x_, c.x);
    describe(y_, c.y);
    check_cudnn(cudnnSetFilter4dDescriptor(w_, type_of(c.w), CUDNN_TENSOR_NHWC, size(c.w, 0), size(c.w, 3),
                                           size(c.w, 1), size(c.w, 2)),
                "describing a filter");
    const Conv2dOptions& o = c.options;
    const auto narrow = [](int64_t value) { return static_cast<int>(value); };
    check_cudnn(cudnnSetConvolution2dDescriptor(
                    convolution_, narrow(o.padding.height), narrow(o.padding.width), narrow(o.stride.height),
                    narrow(o.stride.width), narrow(o.dilation.height), narrow(o.dilation.width),
                    CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
                "describing a convolution");
    check_cudnn(cudnnSetConvolutionGroupCount(convolution_, narrow(o.groups)), "describing a convolution");
    check_cudnn(cudnnSetConvolutionMathType(convolution_, math_type()), "describing a convolution");
    choose(c);
  }

  bool known() const { return workspace_.has_value(); }

  void run(const Convolution& c) const {
    const cudnnHandle_t handle = handle_of(c.x.device().index);
    Tensor x = c.x;
    Tensor w = c.w;
    Tensor y = c.y;
    Tensor workspace = Tensor::empty({static_cast<int64_t>(*workspace_)}, DType::kU8, c.x.device());
    const float one = 1.0F;
    const float zero = 0.0F;
    switch (c.direction) {
      case Direction::kForward:
        check_cudnn(cudnnConvolutionForward(handle, &one, x_, x.raw(), w_, w.raw(), convolution_, forward_,
                                            workspace.raw(), *workspace_, &zero, y_, y.raw()),
                    "convolving");
        return;
      case Direction::kBackwardData:
        check_cudnn(
            cudnnConvolutionBackwardData(handle, &one, w_, w.raw(), y_, y.raw(), convolution_, backward_data_,
                                         workspace.raw(), *workspace_, &zero, x_, x.raw()),
            "convolving a gradient");
        return;
      case Direction::kBackwardWeight:
        check_cudnn(cudnnConvolutionBackwardFilter(handle, &one, x_, x.raw(), y_, y.raw(), convolution_,
                                                   backward_weight_, workspace.raw(), *workspace_, &zero, w_,
                                                   w.raw()),
                    "convolving for a weight's gradient");
        return;
    }
  }

 private:
  static cudnnMathType_t math_type() {
    switch (precision()) {
      case Precision::kF32: return CUDNN_FMA_MATH;
      case Precision::kTf32: return CUDNN_DEFAULT_MATH;
      case Precision::kBf16: return CUDNN_TENSOR_OP_MATH;
    }
    return CUDNN_FMA_MATH;
  }
  static cudnnDataType_t type_of(const Tensor& tensor) {
    return tensor.dtype() == DType::kBf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  }
  static int size(const Tensor& tensor, int axis) { return static_cast<int>(tensor.size(axis)); }

  static void describe(cudnnTensorDescriptor_t descriptor, const Tensor& t) {
    check_cudnn(cudnnSetTensor4dDescriptor(descriptor, CUDNN_TENSOR_NHWC, type_of(t), size(t, 0), size(t, 3),
                                           size(t, 1), size(t, 2)),
                "describing a tensor");
  }

  /// The first suggestion that serves; none where the case is not known.
  template <class Performance, class Algorithm, class Suggest>
  void take(Algorithm& chosen, Suggest suggest) {
    std::array<Performance, 8> found{};
    int count = 0;
    const cudnnStatus_t status = suggest(static_cast<int>(found.size()), &count, found.data());
    if (is_not_known(status)) return;
    check_cudnn(status, "asking for suggestions");
    for (int i = 0; i < count; ++i) {
      const Performance& one = found[static_cast<size_t>(i)];
      if (one.status != CUDNN_STATUS_SUCCESS || one.determinism != CUDNN_DETERMINISTIC) continue;
      if (one.memory > kMostWorkspace) continue;
      chosen = one.algo;
      if (precision() != Precision::kF32) {
        check_cudnn(cudnnSetConvolutionMathType(convolution_, one.mathType), "describing a convolution");
      }
      workspace_ = one.memory;
      return;
    }
  }

  void choose(const Convolution& c) {
    const cudnnHandle_t handle = handle_of(c.x.device().index);
    switch (c.direction) {
      case Direction::kForward:
        take<cudnnConvolutionFwdAlgoPerf_t>(forward_, [&](auto... rest) {
          return cudnnGetConvolutionForwardAlgorithm_v7(handle, x_, w_, convolution_, y_, rest...);
        });
        return;
      case Direction::kBackwardData:
        take<cudnnConvolutionBwdDataAlgoPerf_t>(backward_data_, [&](auto... rest) {
          return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w_, y_, convolution_, x_, rest...);
        });
        return;
      case Direction::kBackwardWeight:
        take<cudnnConvolutionBwdFilterAlgoPerf_t>(backward_weight_, [&](auto... rest) {
          return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x_, y_, convolution_, w_, rest...);
        });
        return;
    }
  }

  cudnnTensorDescriptor_t x_ = nullptr;
  cudnnTensorDescriptor_t y_ = nullptr;
  cudnnFilterDescriptor_t w_ = nullptr;
  cudnnConvolutionDescriptor_t convolution_ = nullptr;
  cudnnConvolutionFwdAlgo_t forward_ = {};
  cudnnConvolutionBwdDataAlgo_t backward_data_ = {};
  cudnnConvolutionBwdFilterAlgo_t backward_weight_ = {};
  std::optional<size_t> workspace_;  // bytes, where the case is known
};

/// The plans of a device are kept until the process ends, and with them their descriptions. Choosing one and
/// running it use the device's handle, which one thread at a time may: the one that holds the mutex.
struct Plans {
  std::mutex mutex;
  std::map<Key, std::unique_ptr<Plan>> made;

  static Plans& of(int index) {
    static auto* all = new PerDevice<Plans*>();
    return *all->get(index, [] { return new Plans(); });
  }

  const Plan& get(const Convolution& convolution) {
    std::unique_ptr<Plan>& plan = made[key_of(convolution)];
    if (plan == nullptr) plan = std::make_unique<Plan>(convolution);
    return *plan;
  }
};

}  // namespace

namespace {

bool run_as_it_is(const Convolution& convolution) {
  compute_stream(convolution.x);  // selects the device
  Plans& plans = Plans::of(convolution.x.device().index);
  const std::lock_guard lock(plans.mutex);
  const Plan& plan = plans.get(convolution);
  if (plan.known()) plan.run(convolution);
  return plan.known();
}

/// With both factors rounded to bf16, and the result too.
bool run_in_bf16(const Convolution& convolution) {
  Convolution narrow = convolution;
  Tensor Convolution::*const all[] = {&Convolution::x, &Convolution::w, &Convolution::y};
  Tensor Convolution::*const result = convolution.direction == Direction::kForward        ? &Convolution::y
                                      : convolution.direction == Direction::kBackwardData ? &Convolution::x
                                                                                          : &Convolution::w;
  for (Tensor Convolution::*const one : all) {
    const Tensor& wide = convolution.*one;
    narrow.*one =
        one == result ? Tensor::empty(wide.shape(), DType::kBf16, wide.device()) : wide.to(DType::kBf16);
  }
  if (!run_as_it_is(narrow)) return false;
  Tensor target = convolution.*result;
  cast(narrow.*result, target);
  return true;
}

}  // namespace

bool run_cudnn(const Convolution& convolution) {
  if (convolution.x.dtype() != DType::kF32) return false;
  for (const Tensor& tensor : {convolution.x, convolution.w, convolution.y}) {
    if (tensor.numel() == 0 || tensor.numel() > std::numeric_limits<int32_t>::max()) return false;
  }
  return precision() == Precision::kBf16 ? run_in_bf16(convolution) : run_as_it_is(convolution);
}

std::string_view cudnn_description() {
  static const std::string text = [] {
    const size_t version = cudnnGetVersion();
    return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }();
  return text;
}

}  // namespace ds::cuda
