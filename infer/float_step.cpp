#include "infer/float_step.h"

#include <map>

#include "autograd/functions.h"
#include "core/error.h"

namespace ds::infer {
namespace {

using Variables = std::vector<Variable>;
using Function = Variable (*)(const Variables& x, const std::any& options);

template <class T>
const T& as(const std::any& options) {
  return std::any_cast<const T&>(options);
}

/// The functions of autograd/functions.h that a network may call between those with weights.
const std::map<std::string, Function>& functions() {
  static const std::map<std::string, Function> all = {
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

FloatCall function_call(const FusedStep& step) {
  const auto found = functions().find(step.kind);
  DS_CHECK(found != functions().end(), "[infer] {} in \"{}\" is not known in inference", step.kind,
           step.scope);
  return [function = found->second, options = step.options](const std::vector<Tensor>& inputs) {
    return function(Variables(inputs.begin(), inputs.end()), options).value();
  };
}

}  // namespace ds::infer
