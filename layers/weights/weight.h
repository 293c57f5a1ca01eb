// The weight of a Conv2d or Linear: how trainable parameters become the tensor used in the forward pass.
//
// Layers do not exist twice. Converting a network replaces the Weight of a layer and nothing else; a new
// method is one pair of files beside this one (docs/adding-a-weight.md).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "core/shift/codes.h"
#include "layers/module.h"

namespace ds {

class Weight {
 public:
  Weight() = default;
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;
  virtual ~Weight() = default;

  /// The trainable tensors: {"weight"}, or {"shift", "sign"}. All have the shape of the weight.
  virtual std::vector<NamedParameter> parameters() const = 0;
  /// The tensor that the layer multiplies with, on the tape: gradients flow to parameters().
  virtual Variable forward() const = 0;
  /// The same off the tape, rounded to nearest: what inference uses.
  virtual Tensor rounded() const = 0;
  /// Brings the trainable tensors into their range; for loading and conversion (steps do it through the
  /// projections that the constructor has set). Returns how many exact zeros had to become +2^p_min.
  virtual int64_t clamp() { return 0; }
  /// Method and bits, or nothing for float weights.
  virtual std::optional<ShiftFormat> format() const { return std::nullopt; }
  /// What weight decay adds to the loss, without its factor wd / 2; undefined where the optimizer decays
  /// instead.
  virtual Variable decay_penalty() const { return {}; }
  /// "float", "shift-q 5 bits".
  virtual std::string describe() const = 0;

  virtual const Shape& shape() const = 0;
};

using WeightPtr = std::unique_ptr<Weight>;

/// A layer that owns a Weight: Conv2d and Linear. Conversion and checkpoints look for it with dynamic_cast.
class WeightedLayer {
 public:
  virtual ~WeightedLayer() = default;
  virtual const Weight& weight() const = 0;
  virtual Weight& weight() = 0;
  /// Replaces the weight by one of equal shape; parameters of the old one are retired.
  virtual void replace_weight(WeightPtr weight) = 0;
};

}  // namespace ds
