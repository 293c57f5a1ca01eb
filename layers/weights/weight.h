// The weight of a Conv2d or Linear: how trainable parameters become the tensor used in the forward pass.
//
// Layers do not exist twice. Converting a network replaces the Weight of a layer and nothing else; a new
// method is one pair of files beside this one (docs/adding-a-weight.md).
//
// Shapes: convolution O,kh,kw,I/groups; linear O,I. Every trainable tensor of a weight has its shape.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "core/shift/codes.h"
#include "layers/module.h"

namespace ds {

/// What stays with a layer when its weight is replaced.
struct WeightOptions {
  FileLayout layout = {};
  Rounding rounding = Rounding::kNearest;  // of shift weights in training: nearest or stochastic
};

class Weight {
 public:
  /// Throws Error for a rounding that powers of two do not have.
  explicit Weight(const WeightOptions& options);
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;
  virtual ~Weight() = default;

  /// The trainable tensors: {"weight"}, or {"shift", "sign"}.
  virtual std::vector<NamedParameter> parameters() const = 0;
  /// The tensor that the layer multiplies with, on the tape: gradients flow to parameters(). Only training
  /// rounds stochastically, and then moves the default generator.
  virtual Variable forward(bool training) const = 0;
  /// The same off the tape, rounded to nearest: what inference uses.
  virtual Tensor rounded() const = 0;
  /// Brings the trainable tensors into their range, after they were loaded (the constructors do it too, and
  /// steps through projections). Returns how many exact zeros had to become +2^p_min.
  virtual int64_t clamp() { return 0; }
  /// Method and bits, or nothing for float weights.
  virtual std::optional<ShiftFormat> format() const { return std::nullopt; }
  /// What weight decay adds to the loss, without its factor wd / 2; undefined where the optimizer decays
  /// instead.
  virtual Variable decay_penalty() const { return {}; }
  /// "float", "shift-q 5 bits".
  virtual std::string describe() const = 0;

  virtual const Shape& shape() const = 0;
  const WeightOptions& options() const { return options_; }

 private:
  WeightOptions options_;
};

using WeightPtr = std::unique_ptr<Weight>;

/// A weight of this format (nothing: float) whose forward() is `values` rounded; the masters are brought into
/// their range. `values` is copied.
WeightPtr make_weight(const std::optional<ShiftFormat>& format, const Tensor& values,
                      const WeightOptions& options = {});

/// "float", "shift-q 5 bits", with an offset "shift-q 3 bits 2^-2", of two terms "shift-q 2x4 bits".
std::string describe_weight(const std::optional<ShiftFormat>& format);

}  // namespace ds
