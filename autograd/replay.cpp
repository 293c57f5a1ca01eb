#include "autograd/replay.h"

#include <map>

#include "autograd/functions.h"
#include "core/error.h"

namespace ds {
namespace {

using Variables = std::vector<Variable>;
using Function = Variable (*)(const Variables& x, const std::any& options);

template <class T>
const T& as(const std::any& options) {
  return std::any_cast<const T&>(options);
}

const std::map<std::string, Function>& functions() {
  static const std::map<std::string, Function> all = {
      {"conv2d",
       [](const Variables& x, const std::any& o) { return conv2d(x[0], x[1], x[2], as<Conv2dOptions>(o)); }},
      {"linear", [](const Variables& x, const std::any&) { return linear(x[0], x[1], x[2]); }},
      {"batch_norm",
       [](const Variables& x, const std::any& o) {
         Tensor mean = x[3].value();
         Tensor variance = x[4].value();
         BatchNormOptions options = as<BatchNormOptions>(o);
         options.training = false;
         return batch_norm(x[0], x[1], x[2], mean, variance, options);
       }},
      {"add", [](const Variables& x, const std::any&) { return x[0] + x[1]; }},
      {"subtract", [](const Variables& x, const std::any&) { return x[0] - x[1]; }},
      {"multiply", [](const Variables& x, const std::any&) { return x[0] * x[1]; }},
      {"divide", [](const Variables& x, const std::any&) { return x[0] / x[1]; }},
      {"affine", [](const Variables& x, const std::any& o) { return affine(x[0], as<AffineOptions>(o)); }},
      {"relu", [](const Variables& x, const std::any&) { return relu(x[0]); }},
      {"relu6", [](const Variables& x, const std::any&) { return relu6(x[0]); }},
      {"max_pool2d",
       [](const Variables& x, const std::any& o) { return max_pool2d(x[0], as<Pool2dOptions>(o)); }},
      {"avg_pool2d",
       [](const Variables& x, const std::any& o) { return avg_pool2d(x[0], as<Pool2dOptions>(o)); }},
      {"adaptive_avg_pool2d",
       [](const Variables& x, const std::any& o) { return adaptive_avg_pool2d(x[0], as<Size2d>(o)); }},
      {"global_avg_pool2d", [](const Variables& x, const std::any&) { return global_avg_pool2d(x[0]); }},
      {"subsample2d", [](const Variables& x, const std::any& o) { return subsample2d(x[0], as<Size2d>(o)); }},
      {"flatten", [](const Variables& x, const std::any&) { return flatten(x[0]); }},
      {"concat", [](const Variables& x, const std::any&) { return concat(x); }},
      {"pad_channels",
       [](const Variables& x, const std::any& o) { return pad_channels(x[0], as<PadChannelsOptions>(o)); }},
      {"fixed_point",
       [](const Variables& x, const std::any& o) { return fixed_point(x[0], as<FixedPointOptions>(o)); }},
  };
  return all;
}

}  // namespace

ReplayedCall replayed_call(const std::string& kind, const std::any& options, const std::string& scope) {
  const auto found = functions().find(kind);
  DS_CHECK(found != functions().end(), "[replay] {} in \"{}\" is not known in inference", kind, scope);
  return [function = found->second, options](const std::vector<Tensor>& inputs) {
    const NoGrad no_grad;
    Variables variables;
    for (const Tensor& input : inputs) variables.push_back(input.defined() ? Variable(input) : Variable());
    return function(variables, options).value();
  };
}

}  // namespace ds
