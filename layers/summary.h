// What a network consists of: layers, shapes, parameters, work and bytes.
//
//   multiply-accumulates  of a float layer, for one image: outputs times weights of one output
//   shift-adds            the same of a layer with a shift weight, times the terms of a weight
//   bytes                 weights at the bits of their codes (float: 32), everything else as it is in memory
//
// Batch norm, pooling and additions are not counted as work.
#pragma once

#include <string>
#include <vector>

#include "layers/module.h"

namespace ds {

struct LayerSummary {
  std::string path;
  std::string description;
  Shape output;            // of one image, N = 1
  int64_t parameters = 0;  // a shift weight counts once, though it may be trained as two tensors
  int64_t multiply_accumulates = 0;
  int64_t shift_adds = 0;
  int64_t bytes = 0;
};

struct Summary {
  std::string model;  // its description
  std::vector<LayerSummary> layers;
  int64_t parameters = 0;
  int64_t multiply_accumulates = 0;
  int64_t shift_adds = 0;
  int64_t bytes = 0;

  /// A table for the terminal.
  std::string str() const;
};

/// Traces the network with one image of shape H,W,C and lists the layers (modules without children) in the
/// order in which they run.
Summary summarize(Module& model, const Shape& input);

}  // namespace ds
