// Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"): momentum whose update
// of a matrix is replaced by the orthogonal matrix next to it, so that every direction is learned at one
// pace.
//
//   v <- momentum v + g,   u = g + momentum v
//   w <- (1 - lr weight_decay) w - 0.2 lr sqrt(max(rows, columns)) orthogonalize(u)
//
// The scale (Liu et al. 2025, "Muon is scalable for LLM training") gives the elements of every update the
// same size, 0.2 lr, and with the decay the weights of every layer the same size as well: one that codes of 4
// bits can tell apart.
//
// What is no matrix (batch norm, biases), and by custom the last layer, is updated by SGD with Nesterov's
// momentum (autograd/optim/sgd.h), at a learning rate and weight decay of its own groups.
#pragma once

#include <string>
#include <vector>

#include "autograd/optim/optimizer.h"

namespace ds {

/// An orthogonal matrix near a matrix [rows, columns], f32 or f64: U S' V^T of its U S V^T, with singular
/// values S' about 1 (0.7 to 1.2; what was below 1e-3 of the norm comes out smaller), by five steps of a
/// Newton-Schulz iteration:
///
///   x <- m / |m|;   x <- a x + (b (x x^T) + c (x x^T)^2) x,   (a, b, c) = (3.4445, -4.7750, 2.0315)
///
/// Zeros stay zeros. Throws Error unless the tensor has two axes.
Tensor orthogonalize(const Tensor& matrix);

struct MuonOptions {
  double lr = 0.02;
  double momentum = 0.9;
};

/// Parameters by the kind of their update, each group at lr times its lr_scale. Weight decay is decoupled for
/// matrices and part of the gradient for the others.
struct MuonGroups {
  std::vector<ParameterGroup> matrices = {};  // first axis: rows; the others together: columns
  std::vector<ParameterGroup> others = {};
};

class Muon : public Optimizer {
 public:
  /// Throws Error when a parameter among the matrices has less than two axes.
  Muon(const MuonGroups& groups, const MuonOptions& options);
  std::string describe() const override;

 private:
  void update(const Tensor& gradient, double lr, const ParameterGroup& group, Tensor& parameter,
              Slots& slots) override;
  bool holds_matrices(const ParameterGroup& group) const;

  size_t matrix_groups_;  // they come first
  MuonOptions options_;
};

}  // namespace ds
