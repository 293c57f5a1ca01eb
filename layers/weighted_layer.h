// A layer that owns a Weight and a bias: what Conv2d and Linear have in common, and what conversion and
// checkpoints look for with dynamic_cast.
//
// Its parameters are those of the weight ("weight", or "shift" and "sign") and, unless it has none, "bias".
#pragma once

#include <optional>
#include <vector>

#include "layers/activation_quant.h"
#include "layers/weights/weight.h"

namespace ds {

class WeightedLayer : public Module {
 public:
  const Weight& weight() const { return *weight_; }
  Weight& weight() { return *weight_; }
  /// Replaces the weight by one of equal shape, type and device (Error otherwise). The parameters of the old
  /// one are retired: optimizers that hold them refuse to step.
  void replace_weight(WeightPtr weight);

  /// Undefined where the layer has none.
  const Variable& bias() const { return bias_; }

  /// From now on rounds the layer's input and its bias to fixed point; with no options, no more.
  void quantize_activations(const std::optional<ActivationQuantOptions>& options);
  /// Null unless activations are rounded.
  const ActivationQuant* activation_quant() const { return quant_ ? &*quant_ : nullptr; }

 protected:
  struct Options {
    FileLayout layout;
    bool bias = true;
  };
  /// A float weight and a bias with PyTorch's initial values (layers/init.h).
  WeightedLayer(const Shape& weight_shape, const Options& options);

  /// What the layer's function takes: input and bias rounded if they are to be, and the forward weight.
  struct Operands {
    Variable x;
    Variable weight;
    Variable bias;
  };
  Operands operands(const Variable& x);
  /// The end of describe(): ", no bias, shift-q 5 bits, activations 16.16".
  std::string describe_operands() const;

  std::vector<NamedParameter> own_parameters() const override;
  std::vector<NamedBuffer> own_buffers() override;

 private:
  WeightPtr weight_;
  Variable bias_;
  std::optional<ActivationQuant> quant_;
};

/// Every weighted layer of a network with its path, in order of registration.
struct NamedLayer {
  std::string path;
  WeightedLayer* layer = nullptr;  // owned by the module
};
std::vector<NamedLayer> weighted_layers(Module& module);

}  // namespace ds
