#include "apps/common/model_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"
#include "layers/weighted_layer.h"

namespace ds::apps {

std::vector<double> as_printed(const std::vector<float>& values) {
  std::vector<double> result;
  result.reserve(values.size());
  for (const float value : values) result.push_back(std::stod(fmt::format("{}", value)));
  return result;
}

std::optional<ActivationQuantOptions> parse_activations(const ActivationChoice& choice) {
  if (choice.bits.empty()) return std::nullopt;
  return ActivationQuantOptions{
      .format = parse_activation_format(choice.bits),
      .rounding = choice.rounding == "floor" ? Rounding::kFloor : Rounding::kNearest,
      .unsigned_inputs = choice.unsigned_inputs,
      .paper_top = choice.paper_top};
}

ActivationChoice describe_activations(const std::optional<ActivationQuantOptions>& options) {
  if (!options) return {};
  return {.bits = options->format.str(),
          .rounding = options->rounding == Rounding::kFloor ? "floor" : "nearest",
          .unsigned_inputs = options->unsigned_inputs,
          .paper_top = options->paper_top};
}

std::string to_json(const ModelNotes& notes) {
  nlohmann::json json = {{"dataset", notes.dataset},
                         {"mean", as_printed(notes.normalization.mean)},
                         {"std", as_printed(notes.normalization.deviation)}};
  if (notes.image_size > 0) json["image_size"] = notes.image_size;
  if (!notes.classes.empty()) json["classes"] = notes.classes;
  return json.dump();
}

ModelNotes read_notes(const ModelInfo& info, const std::string& path) {
  ModelNotes notes;
  if (info.options.empty()) return notes;
  try {
    const auto json = parse_json(info.options);
    notes.dataset = json.value("dataset", notes.dataset);
    notes.normalization.mean = json.value("mean", notes.normalization.mean);
    notes.normalization.deviation = json.value("std", notes.normalization.deviation);
    notes.image_size = json.value("image_size", notes.image_size);
    notes.classes = json.value("classes", notes.classes);
  } catch (const nlohmann::json::exception& error) {
    fail("[model] {}: the options in the metadata cannot be read: {}", path, error.what());
  }
  DS_CHECK(0 <= notes.image_size && notes.image_size <= 1 << 16,
           "[model] {}: images of {} pixels, expected 1 to 65536", path, notes.image_size);
  DS_CHECK(notes.classes.empty() || static_cast<int64_t>(notes.classes.size()) == info.classes,
           "[model] {}: {} names of {} classes", path, notes.classes.size(), info.classes);
  return notes;
}

std::string normalization_note(const std::string& path, const Normalization& assumed) {
  return fmt::format("{} does not say how its input was normalised; taking mean {}, std {} (--mean, --std)",
                     path, fmt::join(assumed.mean, ","), fmt::join(assumed.deviation, ","));
}

std::string architecture_of(const ModelInfo& info, const std::string& path, const std::string& given) {
  DS_CHECK(!info.architecture.empty() || !given.empty(),
           "[model] {}: the file does not say which network it is: name it with --arch", path);
  DS_CHECK(info.architecture.empty() || given.empty() || info.architecture == given,
           "[model] {}: the file holds {}, but --arch {} was given", path, info.architecture, given);
  return given.empty() ? info.architecture : given;
}

void check_classes(const std::string& path, const std::vector<TensorSpec>& tensors, int64_t classes) {
  const bool confirmed = classes == 0 || std::ranges::any_of(tensors, [&](const TensorSpec& tensor) {
                           return tensor.shape.rank() >= 2 && tensor.shape[0] == classes;
                         });
  DS_CHECK(confirmed, "[model] {}: says that it has {} classes, but holds no weight of so many outputs", path,
           classes);
}

int64_t outputs_of(const std::string& path, const std::vector<TensorSpec>& tensors, Module& model) {
  const std::string layer = weighted_layers(model).back().path;
  const std::string beginning = wrapper_prefix(tensors, model) + layer + ".";
  const auto weight = std::ranges::find_if(tensors, [&](const TensorSpec& tensor) {
    return tensor.shape.rank() >= 2 && tensor.name.starts_with(beginning);
  });
  DS_CHECK(weight != tensors.end(),
           "[model] {}: no weight of {} found, the network's last layer: is this its file?", path, layer);
  return weight->shape[0];
}

std::optional<ShiftKind> shift_kind(Module& model) {
  std::optional<ShiftKind> kind;
  for (const NamedLayer& named : weighted_layers(model)) {
    const Weight& weight = named.layer->weight();
    if (!weight.format()) continue;
    const int bits = weight.format()->bits;
    if (!kind) kind = {.format = *weight.format(), .most_bits = bits, .rounding = weight.options().rounding};
    kind->format.bits = std::min(kind->format.bits, bits);
    kind->format.terms = std::min(kind->format.terms, weight.format()->terms);
    if (weight.format()->terms == 2) kind->two_term_bits = std::max(kind->two_term_bits, bits);
    kind->most_bits = std::max(kind->most_bits, bits);
  }
  return kind;
}

std::string ShiftKind::bits() const {
  return mixed() ? fmt::format("{} to {}", format.bits, most_bits) : std::to_string(format.bits);
}

std::string method_name(Module& model) {
  const auto kind = shift_kind(model);
  if (!kind) return "float";
  std::string name = fmt::format("{}{}", name_of(kind->format.method), kind->format.bits_str());
  if (kind->mixed()) name += fmt::format("-{}", kind->most_bits);
  if (kind->two_term_bits > 0 && kind->format.terms == 1) name += fmt::format("+2x{}", kind->two_term_bits);
  return name;
}

}  // namespace ds::apps
