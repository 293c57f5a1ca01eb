#include "core/cpu/conv2d/fused_conv2d.h"

#include "core/cpu/kernels.h"
#include "core/error.h"
#include "core/ops.h"
#include "core/parallel.h"

namespace ds::cpu {

FusedConv2d::FusedConv2d(const Shape& input, const Tensor& w, const Tensor& bias,
                         const FusedConv2dOptions& options)
    : options_(options), isa_(isa()), w_shape_(w.shape()) {
  const Conv2dOptions& convolution = options.convolution;
  DS_CHECK(w.dtype() == DType::kF32 && w.device() == Device{},
           "[fused_conv2d] weight is {}, expected f32 on cpu", name_of(w.dtype()));
  DS_CHECK(!bias.defined() ||
               (bias.shape() == Shape{w.size(0)} && bias.dtype() == DType::kF32 && bias.device() == Device{}),
           "[fused_conv2d] bias is {} {} on {}, expected f32 [{}] on cpu", name_of(bias.dtype()),
           bias.shape().str(), bias.device().str(), w.size(0));
  plan_ = plan_conv2d({.pass = Conv2dPass::kForward,
                       .dtype = DType::kF32,
                       .x = input,
                       .w = w.shape(),
                       .y = ops::conv2d_shape(input, w.shape(), convolution),
                       .options = convolution,
                       .keeps_filters = true});
  switch (plan_.algorithm) {
    case Conv2dAlgorithm::kDirect:
      filters_ = pack_direct(w, bias, convolution.groups, plan_.precision);
      break;
    case Conv2dAlgorithm::kWinograd:
      filters_ = transform_winograd(w, bias.clone(), plan_.precision, plan_.side);
      break;
    case Conv2dAlgorithm::kDepthwise: filters_ = pack_depthwise(w, bias.clone()); break;
    default: filters_ = PlainFilters{.w = w.clone(), .bias = bias.clone()}; break;
  }
}

Tensor FusedConv2d::operator()(const Tensor& x, const Tensor& shortcut) const {
  DS_CHECK(x.dtype() == DType::kF32 && x.device() == Device{},
           "[fused_conv2d] input is {}, expected f32 on cpu", name_of(x.dtype()));
  DS_CHECK(isa() == isa_, "[fused_conv2d] was made for {}, but {} is in use now", name_of(isa_),
           name_of(isa()));
  Tensor y = Tensor::empty(ops::conv2d_shape(x.shape(), w_shape_, options_.convolution));
  DS_CHECK(!shortcut.defined() || (shortcut.shape() == y.shape() && shortcut.dtype() == DType::kF32 &&
                                   shortcut.device() == Device{}),
           "[fused_conv2d] shortcut is {} {} on {}, expected f32 {} on cpu", name_of(shortcut.dtype()),
           shortcut.shape().str(), shortcut.device().str(), y.shape().str());
  if (y.numel() == 0) return y;
  const Conv2dEpilogue epilogue{.shortcut = shortcut.defined() ? shortcut.data<float>() : nullptr,
                                .low = options_.low,
                                .high = options_.high};
  if (const auto* direct = std::get_if<DirectFilters>(&filters_)) {
    conv2d_direct(x, *direct, options_.convolution, epilogue, y);
    return y;
  }
  if (const auto* winograd = std::get_if<WinogradFilters>(&filters_)) {
    conv2d_winograd(x, *winograd, options_.convolution, epilogue, y);
    return y;
  }
  if (const auto* depthwise = std::get_if<DepthwiseFilters>(&filters_)) {
    conv2d_depthwise_native(x, *depthwise, options_.convolution, epilogue, y);
    return y;
  }
  const auto& plain = std::get<PlainFilters>(filters_);
  conv2d(plan_, x, plain.w, plain.bias, options_.convolution, y);
  if (!epilogue.empty()) {
    float* values = y.data<float>();
    parallel_for(y.numel(), kElementwiseGrain,
                 [&](int64_t begin, int64_t end) { epilogue.apply(values, begin, end - begin); });
  }
  return y;
}

}  // namespace ds::cpu
