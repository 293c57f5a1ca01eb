#include "layers/batchnorm2d.h"

#include "autograd/tape.h"
#include "core/error.h"

namespace ds {
namespace {

Shape checked_shape(int64_t channels) {
  DS_CHECK(channels >= 1, "[batchnorm2d] {} channels, expected at least 1", channels);
  return {channels};
}

}  // namespace

BatchNorm2d::BatchNorm2d(int64_t channels, const BatchNorm2dOptions& options)
    : options_(options),
      weight_(Tensor::full(checked_shape(channels), 1.0), true),
      bias_(Tensor::zeros({channels}), true),
      running_mean_(Tensor::zeros({channels})),
      running_var_(Tensor::full({channels}, 1.0)) {
  DS_CHECK(options.eps > 0.0, "[batchnorm2d] eps is {}, expected eps > 0", options.eps);
  DS_CHECK(options.momentum >= 0.0 && options.momentum <= 1.0,
           "[batchnorm2d] momentum is {}, expected 0 <= momentum <= 1", options.momentum);
}

BatchNormOptions BatchNorm2d::function_options() const {
  return {.training = training(), .momentum = options_.momentum, .eps = options_.eps};
}

Variable BatchNorm2d::forward(const Variable& x) {
  return batch_norm(x, weight_, bias_, running_mean_, running_var_, function_options());
}

Variable BatchNorm2d::with_relu(const Variable& x, const Variable& shortcut) {
  const TraceScope scope = trace_scope();
  return batch_norm_relu(x, weight_, bias_, running_mean_, running_var_, shortcut, function_options());
}

std::string BatchNorm2d::describe() const {
  return fmt::format("BatchNorm2d({}, eps {}, momentum {})", weight_.size(0), options_.eps,
                     options_.momentum);
}

std::vector<NamedParameter> BatchNorm2d::own_parameters() const {
  return {{.name = "weight", .value = weight_, .role = ParameterRole::kNorm},
          {.name = "bias", .value = bias_, .role = ParameterRole::kNorm}};
}

std::vector<NamedBuffer> BatchNorm2d::own_buffers() {
  return {{.name = "running_mean", .value = &running_mean_}, {.name = "running_var", .value = &running_var_}};
}

std::vector<Tensor*> running_statistics(Module& module) {
  std::vector<Tensor*> statistics;
  module.for_each([&](const std::string&, Module& part) {
    if (dynamic_cast<BatchNorm2d*>(&part) == nullptr) return;
    for (const NamedBuffer& buffer : part.named_buffers()) statistics.push_back(buffer.value);
  });
  return statistics;
}

}  // namespace ds
