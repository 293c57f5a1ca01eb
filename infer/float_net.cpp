#include "infer/float_net.h"

#include <memory>

#include "autograd/functions.h"
#include "autograd/replay.h"
#include "core/cpu/conv2d/fused_conv2d.h"
#include "core/error.h"
#include "core/ops.h"

namespace ds::infer {
namespace {

/// The numbers as f32 [n]; undefined where there are none.
Tensor tensor_of(const std::vector<double>& values) {
  if (values.empty()) return {};
  return Tensor::from(values, {static_cast<int64_t>(values.size())}).to(DType::kF32);
}

/// The filters times the scale of their outputs, so that it costs nothing.
Tensor scaled_weight(const FusedStep& step) {
  if (step.scale.empty()) return step.weight;
  Tensor weight = step.weight.to(DType::kF64).clone();
  const auto row = static_cast<size_t>(weight.numel() / weight.size(0));
  for (size_t o = 0; o < step.scale.size(); ++o) {
    for (double& w : weight.span<double>().subspan(o * row, row)) w *= step.scale[o];
  }
  return weight.to(step.weight.dtype());
}

/// A scaled step other than a convolution, without shortcut and clamp.
ReplayedCall scaled_call(const FusedStep& step) {
  const bool linear = step.kind == "linear";
  const Tensor factor = linear ? scaled_weight(step) : tensor_of(step.scale);
  return [linear, factor, shift = tensor_of(step.shift)](const std::vector<Tensor>& inputs) {
    Tensor y = linear ? ops::gemm(inputs[0], factor, {.transpose_b = true})
                      : ops::arithmetic(Arithmetic::kMultiply, inputs[0], factor);
    return shift.defined() ? ops::arithmetic(Arithmetic::kAdd, y, shift) : y;
  };
}

/// The shortcut is the last input.
ReplayedCall with_epilogue(ReplayedCall call, const FusedStep& step) {
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
        shapes[static_cast<size_t>(fused.inputs[0])].with(0, batch), scaled_weight(fused),
        tensor_of(fused.shift),
        cpu::FusedConv2dOptions{.convolution = std::any_cast<const Conv2dOptions&>(fused.options),
                                .low = static_cast<float>(fused.low),
                                .high = static_cast<float>(fused.high)});
    step.description +=
        fmt::format(": {}, {}", name_of(convolution->plan().algorithm), convolution->plan().reason);
    step.run = [convolution](const Inputs& inputs) {
      return (*convolution)(inputs[0], inputs.size() > 1 ? inputs[1] : Tensor());
    };
    return step;
  }
  step.run = with_epilogue(
      fused.scaled() ? scaled_call(fused) : replayed_call(fused.kind, fused.options, fused.scope), fused);
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
