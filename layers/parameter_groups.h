// The parameters of a module by what weight decay means for them.
#pragma once

#include <vector>

#include "autograd/optim/optimizer.h"
#include "layers/module.h"

namespace ds {

/// Two groups: weights, which decay, and the rest (batch norm, biases, and P and S of DeepShift-PS), which do
/// not: pulled to 0, P would make weights grow to 1, and S, pulled by as much as weights are, would lose its
/// sign. What decays a network of P and S is decay_loss(model, weight_decay) in its loss (layers/convert.h).
/// A group without parameters is left out.
std::vector<ParameterGroup> parameter_groups(const Module& model, double weight_decay);

}  // namespace ds
