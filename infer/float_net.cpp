#include "infer/float_net.h"

#include <map>
#include <memory>

#include "autograd/functions.h"
#include "core/cpu/conv2d/fused_conv2d.h"
#include "core/error.h"
#include "core/ops.h"

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

using Call = std::function<Tensor(const std::vector<Tensor>& inputs)>;

/// A step with weights, without shortcut and clamp.
Call weighted_call(const FusedStep& step) {
  const bool linear = step.kind == "linear";
  return [linear, w = step.weight, bias = step.bias](const std::vector<Tensor>& inputs) {
    Tensor y = linear ? ops::gemm(inputs[0], w, {.transpose_b = true})
                      : ops::arithmetic(Arithmetic::kMultiply, inputs[0], w);
    return bias.defined() ? ops::arithmetic(Arithmetic::kAdd, y, bias) : y;
  };
}

Call function_call(const FusedStep& step) {
  const auto found = functions().find(step.kind);
  DS_CHECK(found != functions().end(), "[float_net] {} in \"{}\" is not known in inference", step.kind,
           step.scope);
  return [function = found->second, options = step.options](const std::vector<Tensor>& inputs) {
    return function(Variables(inputs.begin(), inputs.end()), options).value();
  };
}

/// The shortcut is the last input.
Call with_epilogue(Call call, const FusedStep& step) {
  if (step.shortcut < 0 && !step.clamped()) return call;
  return [call = std::move(call), shortcut = step.shortcut >= 0, low = step.low,
          high = step.high](const std::vector<Tensor>& inputs) {
    Tensor y = call(inputs);
    if (shortcut) y = ops::arithmetic(Arithmetic::kAdd, y, inputs.back());
    return ops::clamp(y, low, high);
  };
}

std::string fused_with(const FusedStep& step) {
  std::string text = step.kind;
  if (step.shortcut >= 0) text += " + shortcut";
  if (step.clamped()) text += step.high == 6.0 ? ", ReLU6" : ", ReLU";
  return text;
}

}  // namespace

FloatNet::Step FloatNet::make_step(const FusedStep& fused, const std::vector<Shape>& shapes, int64_t batch) {
  Step step{.place = fused.scope,
            .description = fmt::format("{} to {}", fused_with(fused),
                                       shapes[static_cast<size_t>(fused.output)].with(0, batch).str()),
            .inputs = fused.inputs};
  step.output = fused.output;
  if (fused.shortcut >= 0) step.inputs.push_back(fused.shortcut);
  if (fused.kind == "conv2d") {
    const auto convolution = std::make_shared<const cpu::FusedConv2d>(
        shapes[static_cast<size_t>(fused.inputs[0])].with(0, batch), fused.weight, fused.bias,
        cpu::FusedConv2dOptions{.convolution = as<Conv2dOptions>(fused.options),
                                .low = static_cast<float>(fused.low),
                                .high = static_cast<float>(fused.high)});
    step.description +=
        fmt::format(": {}, {}", name_of(convolution->plan().algorithm), convolution->plan().reason);
    step.run = [convolution](const Inputs& inputs) {
      return (*convolution)(inputs[0], inputs.size() > 1 ? inputs[1] : Tensor());
    };
    return step;
  }
  const bool weighted = fused.weight.defined();
  step.run = with_epilogue(weighted ? weighted_call(fused) : function_call(fused), fused);
  return step;
}

FloatNet::FloatNet(const Graph& graph, const FloatNetOptions& options) {
  const FusedGraph fused = fuse(graph);
  input_ = fused.shapes[0].with(0, 1);
  values_ = fused.shapes.size();
  output_ = fused.output;
  for (const FusedStep& step : fused.steps) steps_.push_back(make_step(step, fused.shapes, options.batch));
  std::vector<bool> needed(values_, false);
  needed[static_cast<size_t>(output_)] = true;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    for (const int input : step->inputs) {
      if (!needed[static_cast<size_t>(input)]) step->last_uses.push_back(input);
      needed[static_cast<size_t>(input)] = true;
    }
  }
}

Tensor FloatNet::operator()(const Tensor& images) const {
  DS_CHECK(images.rank() == input_.rank() && images.size(0) >= 1 && images.shape().with(0, 1) == input_,
           "[float_net] input has shape {}, expected {} with any N >= 1", images.shape().str(), input_.str());
  const NoGrad no_grad;
  std::vector<Tensor> values(values_);
  values[0] = images;
  for (const Step& step : steps_) {
    Inputs inputs;
    for (const int input : step.inputs) inputs.push_back(values[static_cast<size_t>(input)]);
    values[static_cast<size_t>(step.output)] = step.run(inputs);
    for (const int value : step.last_uses) values[static_cast<size_t>(value)] = {};
  }
  return values[static_cast<size_t>(output_)];
}

std::string FloatNet::str() const {
  std::string text;
  for (const Step& step : steps_) text += fmt::format("{}: {}\n", step.place, step.description);
  return text;
}

}  // namespace ds::infer
