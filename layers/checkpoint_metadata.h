// What a checkpoint's metadata says, as JSON under these keys:
//
//   deepshift.version       "1"
//   deepshift.architecture  "resnet20"
//   deepshift.classes       "10"
//   deepshift.options       the caller's own
//   deepshift.weights       {"conv1": {"bits": 5, "method": "q", "rounding": "nearest"}, ...}
//                           beside them "offset" where it is not 0, and "terms" where they are not 1
//   deepshift.activation    {"conv1": {"format": "16.16", "momentum": 0.1, "paper_top": false,
//                                      "rounding": "nearest", "unsigned": false}, ...}
//   deepshift.training      {"batch": 0, "epoch": 3, "generator": ..., "optimizer_step": 1170, "run": ...}
//
// A layer that is not named has a float weight or activations that are not rounded. Everything that reads
// throws Error naming the file and the key.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/random.h"
#include "core/safetensors.h"
#include "layers/checkpoint.h"
#include "layers/weighted_layer.h"

namespace ds {

/// How a Conv2d or Linear holds its weight and rounds its input.
struct LayerFormat {
  std::optional<ShiftFormat> weight;
  Rounding rounding = Rounding::kNearest;
  std::optional<ActivationQuantOptions> activation;
  bool operator==(const LayerFormat&) const = default;
};

/// By the path of the layer.
using LayerFormats = std::map<std::string, LayerFormat>;

LayerFormat format_of(const WeightedLayer& layer);

/// Metadata of a model file, of the first version that can hold the formats.
Metadata describe_model(const ModelInfo& info, const LayerFormats& formats);
/// The layers that the file names; none for a file that is not ours.
LayerFormats read_layer_formats(const SafetensorsFile& file);

struct TrainingMetadata {
  TrainingState state;
  std::optional<Generator> generator;  // the default one; nothing where a file does not say
  int64_t optimizer_step = 0;
};
void add_training(const TrainingMetadata& training, Metadata& metadata);
TrainingMetadata read_training_metadata(const SafetensorsFile& file);

}  // namespace ds
