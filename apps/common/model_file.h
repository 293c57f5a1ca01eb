// What a model file says beside its weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/shift/codes.h"
#include "data/dataset.h"
#include "layers/activation_quant.h"
#include "layers/checkpoint.h"

namespace ds::apps {

/// The doubles that print as these floats do: 0.4914 and not 0.49140000343322754.
std::vector<double> as_printed(const std::vector<float>& values);

/// How activations are rounded, as the command line says it.
struct ActivationChoice {
  std::string bits = {};  // "I.F", "B", or empty: not at all
  std::string rounding = "nearest";
  bool unsigned_inputs = false;
  bool paper_top = false;
};
/// Throws Error when the bits cannot be read.
std::optional<ActivationQuantOptions> parse_activations(const ActivationChoice& choice);
ActivationChoice describe_activations(const std::optional<ActivationQuantOptions>& options);

/// ModelInfo::options as the apps write it: what the input of the network was.
struct ModelNotes {
  std::string dataset = {};
  Normalization normalization = {};       // empty where the file does not say
  int64_t image_size = 0;                 // of photographs, in pixels; 0 where the file does not say
  std::vector<std::string> classes = {};  // names by label; empty where the file does not say
};
std::string to_json(const ModelNotes& notes);
/// Throws Error naming the file when the JSON is broken.
ModelNotes read_notes(const ModelInfo& info, const std::string& path);
/// What to tell about a file whose normalisation had to be assumed.
std::string normalization_note(const std::string& path, const Normalization& assumed);

/// The architecture: the one given, or else the file's. Throws Error when neither says it, or both and they
/// differ.
std::string architecture_of(const ModelInfo& info, const std::string& path, const std::string& given);
/// Before a network of that size is made. Throws Error when the file says that it has classes, but no weight
/// has so many outputs.
void check_classes(const std::string& path, const std::vector<TensorSpec>& tensors, int64_t classes);
/// The outputs that the weight of a network's last layer has in the file. Throws Error when there is none.
int64_t outputs_of(const std::string& path, const std::vector<TensorSpec>& tensors, Module& model);

/// The kind of shift weights of a network; nothing when all are float.
struct ShiftKind {
  ShiftFormat format;  // with the fewest bits and terms, where layers differ
  int most_bits = 0;
  int two_term_bits = 0;  // of a term of the layers with two, the most
  Rounding rounding = Rounding::kNearest;

  bool mixed() const { return most_bits != format.bits; }
  /// "5" or "3 to 5".
  std::string bits() const;
};
std::optional<ShiftKind> shift_kind(Module& model);
/// "float", "q5", "ps4", "q3-5", "q2x4" where all weights have two terms, "q4+2x4" where some have.
std::string method_name(Module& model);

}  // namespace ds::apps
