// Conversion without training: weights become powers of two so that the outputs of each layer change least on
// sample images, whose labels nobody needs.
//
// Layer by layer, in the order of the recorded graph, with two streams of activations: x those of the network
// as converted so far, y the outputs of the float layer on those of the float network. A layer's filters are
// first fitted to give y from x,
//
//     w* = argmin  mean |y - w^T x|^2 + r |w - w_float|^2,     r = damping * mean of the diagonal of H, or
//     more
//                                                              where H + r I would be singular
//
// (H = mean x x^T, about the means where a bias or batch norm makes up for them) and then rounded so that
// (q - w*)^T (H + r I) (q - w*) is small (layers/compensation/rounding.h). The means of the outputs are
// matched through the bias, means and variances through the running statistics of a batch norm that follows.
//
// Memory: three matrices of f64 with the side of a window's values and two of a block of filters in f64, and
// `kept_bytes` of activations, beside the images, as long as they are needed, and the network before and
// after; where an exponent offset is looked for, five times the layer, and where a layer is done in blocks,
// three times its outputs for all images.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "layers/compensation/layer_rounding.h"
#include "layers/convert.h"

namespace ds {

struct CompensateOptions {
  ConvertOptions conversion = {};
  CompensationOptions compensation = {};
  /// What layers read, but for the images, is rounded to this format in the network as converted so far: B
  /// bits whose fraction bits have the least squared error over the images, without a sign where nothing is
  /// below 0, or I.F. The model itself is not told.
  std::optional<ActivationFormat> activations = {};
  int64_t batch = 32;  // images that are computed together; fewer where their values take very much memory
  /// Values of a window that are rounded together, at most. A layer with more of them, and without groups, is
  /// done in blocks of input channels, each of which is to give its own share of the outputs and, with
  /// Compensation::kFull, what those before it lack.
  int64_t block_inputs = 4608;
  /// Told before each layer: how many of how many are done, and its path.
  std::function<void(int64_t done, int64_t total, const std::string& path)> progress = {};
  /// Of activations that are kept for all images, in both streams. What does not fit is computed again for
  /// each layer that needs it.
  int64_t kept_bytes = int64_t{400} << 20;
};

struct CompensatedLayer {
  std::string path;
  double plain_error = 0.0;  // of the outputs, when the weights are only rounded: ||y - y'|| / ||y - mean y||
  double error = 0.0;        // and as they are now
  int64_t blocks = 1;        // of inputs that were rounded on their own
  double seconds = 0.0;
};

struct CompensateReport {
  ConvertReport conversion;
  std::vector<CompensatedLayer> layers;  // in the order of the graph
  double seconds = 0.0;
  /// A table for the terminal.
  std::string str() const;
};

/// `images`: f32 [N,H,W,C] as the network takes them, on the CPU. Throws Error, with nothing changed, for
/// what convert_to_shift refuses, for no images, for a call that is not known, for a layer whose values are
/// not finite, and for activations that the network itself rounds. The same images give the same bits for any
/// number of threads and any `kept_bytes`. A layer that the graph does not call is only rounded.
CompensateReport compensate(Module& model, Tensor images, const CompensateOptions& options,
                            const ConvertPredicate& predicate = {});

}  // namespace ds
