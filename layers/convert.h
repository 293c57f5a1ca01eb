// Converting a network: replaces weights, never layers.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "layers/module.h"
#include "layers/weighted_layer.h"
#include "layers/weights/exponents.h"
#include "layers/weights/weight.h"

namespace ds {

/// Where the masters of DeepShift-PS come from.
enum class PsInit : uint8_t {
  kConverted,  // P = round(log2 |w|), S = sign(w) of the float weights (the paper's CIFAR code)
  kRandom,     // the paper's ImageNet code: S ~ U(-1, 1), P ~ U(-10, -1) for convolutions and U(p_min, 0)
               // for linear layers, clamped into the range
};

struct ConvertOptions {
  ShiftMethod method = ShiftMethod::kQ;
  int weight_bits = 5;  // 2..7; 6 and 7 cannot be packed
  /// Other bits of a layer, by its path, or of all layers within a module, by that module's; the longest path
  /// counts.
  std::map<std::string, int> layer_bits = {};
  /// Exponent offsets of layers, by path (core/shift/codes.h).
  std::map<std::string, int> layer_offsets = {};
  /// Layers whose weights are sums of two powers of two, with `weight_bits` for each, by path or by module.
  std::vector<std::string> two_term = {};
  Rounding rounding = Rounding::kNearest;  // of the forward pass in training
  PsInit ps_init = PsInit::kConverted;     // DeepShift-PS only
};

/// Whether a layer is converted: by its path ("layer1.0.conv1") and its depth from the end (0 is the last
/// layer).
using ConvertPredicate = std::function<bool(const std::string& path, int64_t depth_from_end)>;
/// Everything but the first and the last layer.
ConvertPredicate all_but_first_and_last(Module& model);

struct ConvertedLayer {
  std::string path;
  bool converted = false;
  std::string weight;           // "shift-q 5 bits", or "float"
  int64_t count = 0;            // weights
  double rounding_error = 0.0;  // ||rounded - float|| / ||float||; 0 where it was kept
  int64_t replaced_zeros = 0;   // exact zeros that became +2^p_min (DeepShift-Q)
  ExponentCounts rounded;       // of the converted weights' terms; empty where it was kept
};

struct ConvertReport {
  std::vector<ConvertedLayer> layers;
  int64_t converted() const;
  /// A table for the terminal.
  std::string str() const;
  /// Another one: of each converted layer the share of its weights, or terms, that are 0 or +-2^p.
  std::string shares() const;
};

/// A layer and what its weight is to become: nothing where it stays as it is.
struct PlannedLayer {
  NamedLayer named;
  std::optional<ShiftFormat> format = {};
};

/// What convert_to_shift would do, with all its checks, and nothing changed.
std::vector<PlannedLayer> plan_conversion(Module& model, const ConvertOptions& options,
                                          const ConvertPredicate& predicate = {});

/// Gives every Conv2d and Linear that the predicate accepts (default: all) a shift weight made from its
/// rounded float weight. Optimizers made before must be made anew. Throws Error, with nothing changed, for
/// bits outside 2..7 (two terms: 2..5), for a path that no layer has, for a layer that is not float, for
/// weights that are not finite and for two terms that are to be drawn or rounded stochastically.
ConvertReport convert_to_shift(Module& model, const ConvertOptions& options,
                               const ConvertPredicate& predicate = {});

/// wd / 2 times the sum of the weights' decay penalties (4^P of DeepShift-PS); undefined when there are none.
Variable decay_loss(Module& model, double weight_decay);

}  // namespace ds
