#include "layers/checkpoint_metadata.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "core/json.h"

namespace ds {
namespace {

using Json = nlohmann::json;

constexpr const char* kVersion = "deepshift.version";
constexpr const char* kArchitecture = "deepshift.architecture";
constexpr const char* kClasses = "deepshift.classes";
constexpr const char* kOptions = "deepshift.options";
constexpr const char* kWeights = "deepshift.weights";
constexpr const char* kActivation = "deepshift.activation";
constexpr const char* kTraining = "deepshift.training";

std::string rounding_name(Rounding rounding) {
  switch (rounding) {
    case Rounding::kNearest: return "nearest";
    case Rounding::kFloor: return "floor";
    case Rounding::kStochastic: return "stochastic";
  }
  return "?";
}

Rounding parse_rounding(const std::string& text) {
  for (const Rounding rounding : {Rounding::kNearest, Rounding::kFloor, Rounding::kStochastic}) {
    if (text == rounding_name(rounding)) return rounding;
  }
  fail("rounding \"{}\", expected nearest, floor or stochastic", text);
}

Json weight_json(const LayerFormat& format) {
  Json json = {{"method", name_of(format.weight->method)},
               {"bits", format.weight->bits},
               {"rounding", rounding_name(format.rounding)}};
  if (format.weight->offset != 0) json["offset"] = format.weight->offset;
  if (format.weight->terms != 1) json["terms"] = format.weight->terms;
  return json;
}

void read_weight(const Json& json, LayerFormat& format) {
  format.weight = ShiftFormat{.method = parse_shift_method(json.at("method").get<std::string>()),
                              .bits = json.at("bits").get<int>(),
                              .offset = json.value("offset", 0),
                              .terms = json.value("terms", 1)};
  format.weight->range();  // refuses bits, offsets and terms that no weight has
  format.rounding = parse_rounding(json.at("rounding").get<std::string>());
  DS_CHECK(format.rounding != Rounding::kFloor, "weights cannot be rounded by floor");
  DS_CHECK(format.weight->terms == 1 || format.rounding == Rounding::kNearest,
           "weights of two terms cannot be rounded stochastically");
}

/// The first version of the format that can hold it.
int version_of(const LayerFormat& format) {
  if (!format.weight) return 1;
  if (format.weight->terms == 2) return 3;
  return format.weight->offset != 0 ? 2 : 1;
}

Json activation_json(const ActivationQuantOptions& options) {
  return {{"format", options.format.str()},
          {"rounding", rounding_name(options.rounding)},
          {"unsigned", options.unsigned_inputs},
          {"paper_top", options.paper_top},
          {"momentum", options.momentum}};
}

ActivationQuantOptions read_activation(const Json& json) {
  const ActivationQuantOptions options = {
      .format = parse_activation_format(json.at("format").get<std::string>()),
      .rounding = parse_rounding(json.at("rounding").get<std::string>()),
      .unsigned_inputs = json.at("unsigned").get<bool>(),
      .paper_top = json.at("paper_top").get<bool>(),
      .momentum = json.at("momentum").get<double>()};
  const ActivationQuant check(options);  // refuses options that contradict each other
  return options;
}

const std::string* find(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? nullptr : &found->second;
}

/// Calls read(json) with the JSON under the key, if the file has it; errors get the file and the key.
template <class Read>
void read_json(const SafetensorsFile& file, const char* key, Read read) {
  const std::string* text = find(file, key);
  if (text == nullptr) return;
  try {
    read(parse_json(*text));
  } catch (const Json::exception& error) {
    fail("[checkpoint] {}: metadata {}: {}", file.path(), key, error.what());
  } catch (const Error& error) {
    fail("[checkpoint] {}: metadata {}: {}", file.path(), key, error.what());
  }
}

/// A number that is the whole of a metadata value; 0 when the key is not there.
int64_t read_number(const SafetensorsFile& file, const char* key) {
  int64_t number = 0;
  read_json(file, key, [&](const Json& json) {
    DS_CHECK(json.is_number_unsigned(), "{}, expected a number", json.dump());
    number = json.get<int64_t>();
  });
  return number;
}

std::string read_text(const SafetensorsFile& file, const char* key) {
  const std::string* text = find(file, key);
  return text == nullptr ? "" : *text;
}

/// Seed, stream and position, and back; nothing for what callers of earlier versions wrote there instead.
std::string describe(const Generator& generator) {
  return fmt::format("{} {} {}", generator.seed(), generator.stream(), generator.position());
}

std::optional<Generator> parse_generator(const std::string& text) {
  std::istringstream words(text);
  uint64_t seed = 0;
  uint64_t stream = 0;
  uint64_t position = 0;
  if (!(words >> seed >> stream >> position)) return std::nullopt;
  Generator generator(seed, stream);
  generator.set_position(position);
  return generator;
}

}  // namespace

LayerFormat format_of(const WeightedLayer& layer) {
  LayerFormat format;
  format.weight = layer.weight().format();
  format.rounding = layer.weight().options().rounding;
  if (layer.activation_quant() != nullptr) format.activation = layer.activation_quant()->options();
  return format;
}

Metadata describe_model(const ModelInfo& info, const LayerFormats& formats) {
  int version = 1;
  for (const auto& [path, format] : formats) version = std::max(version, version_of(format));
  Metadata metadata = {{kVersion, std::to_string(version)}};
  if (!info.architecture.empty()) metadata[kArchitecture] = info.architecture;
  if (info.classes > 0) metadata[kClasses] = std::to_string(info.classes);
  if (!info.options.empty()) metadata[kOptions] = info.options;
  Json weights = Json::object();
  Json activation = Json::object();
  for (const auto& [path, format] : formats) {
    if (format.weight) weights[path] = weight_json(format);
    if (format.activation) activation[path] = activation_json(*format.activation);
  }
  if (!weights.empty()) metadata[kWeights] = weights.dump();
  if (!activation.empty()) metadata[kActivation] = activation.dump();
  return metadata;
}

LayerFormats read_layer_formats(const SafetensorsFile& file) {
  LayerFormats formats;
  read_json(file, kWeights, [&](const Json& json) {
    for (const auto& item : json.items()) read_weight(item.value(), formats[item.key()]);
  });
  read_json(file, kActivation, [&](const Json& json) {
    for (const auto& item : json.items()) formats[item.key()].activation = read_activation(item.value());
  });
  return formats;
}

ModelInfo read_model_info(const SafetensorsFile& file) {
  const int64_t version = read_number(file, kVersion);
  DS_CHECK(version <= kCheckpointVersion,
           "[checkpoint] {}: has format version {}, this program reads up to {}: a newer one wrote it",
           file.path(), version, kCheckpointVersion);
  return {.architecture = read_text(file, kArchitecture),
          .classes = read_number(file, kClasses),
          .options = read_text(file, kOptions),
          .version = static_cast<int>(version)};
}

void add_training(const TrainingMetadata& training, Metadata& metadata) {
  const TrainingState& state = training.state;
  metadata[kTraining] = Json{{"epoch", state.epoch},
                             {"batch", state.batch},
                             {"generator", training.generator ? describe(*training.generator) : ""},
                             {"run", state.run},
                             {"optimizer_step", training.optimizer_step}}
                            .dump();
}

TrainingMetadata read_training_metadata(const SafetensorsFile& file) {
  read_model_info(file);  // refuses a newer version
  DS_CHECK(find(file, kTraining) != nullptr,
           "[checkpoint] {}: is a model without the state of a training run, it cannot be resumed from",
           file.path());
  TrainingMetadata training;
  read_json(file, kTraining, [&](const Json& json) {
    training = {.state = {.epoch = json.at("epoch").get<int64_t>(),
                          .batch = json.at("batch").get<int64_t>(),
                          .run = json.at("run").get<std::string>()},
                .generator = parse_generator(json.at("generator").get<std::string>()),
                .optimizer_step = json.at("optimizer_step").get<int64_t>()};
  });
  return training;
}

}  // namespace ds
