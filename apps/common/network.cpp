#include "apps/common/network.h"

#include <fmt/format.h>

#include "apps/common/task.h"
#include "core/error.h"
#include "core/random.h"
#include "layers/convert.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

Network build(const std::string& arch, int64_t classes) {
  return {.model = models::make(arch, {.classes = classes}),
          .info = {.architecture = arch, .classes = classes}};
}

/// Other rounding of activations than the network has; ranges that were learnt for that are lost.
void change_activations(Module& model, const std::optional<ActivationQuantOptions>& activations) {
  if (activations != activation_quant_options(model)) quantize_activations(model, activations);
}

void convert(Module& model, const TrainOptions& options) {
  const ConvertOptions conversion{
      .method = parse_shift_method(*options.method),
      .weight_bits = options.weight_bits,
      .rounding = options.rounding == "stochastic" ? Rounding::kStochastic : Rounding::kNearest,
      .ps_init = options.ps_init == "random" ? PsInit::kRandom : PsInit::kConverted};
  convert_to_shift(model, conversion,
                   options.first_last == "float" ? all_but_first_and_last(model) : ConvertPredicate{});
}

/// The run's shift weights are the file's: what the command line says of them must agree.
void adopt_shift_weights(const ShiftKind& kind, const OptionTable& table, TrainOptions& options) {
  const std::string method(name_of(kind.format.method));
  const std::string rounding = kind.rounding == Rounding::kStochastic ? "stochastic" : "nearest";
  if (!options.method) options.method = method;
  if (!table.given("weight-bits")) options.weight_bits = kind.format.bits;
  if (!table.given("rounding")) options.rounding = rounding;
  DS_CHECK(
      *options.method == method && options.weight_bits == kind.format.bits && options.rounding == rounding,
      "[pretrained] {} holds {} weights of {} bits, rounded {} in training; expected float weights, or those "
      "of "
      "--method {} --weight-bits {} --rounding {}",
      options.pretrained, method, kind.format.bits, rounding, *options.method, options.weight_bits,
      options.rounding);
}

}  // namespace

Network open_network(const std::string& path, const OpenOptions& options) {
  const SafetensorsFile file(path);
  const ModelInfo info = read_model_info(file);
  Network network = build(architecture_of(info, path, options.arch), classes_of(file, info));
  network.notes = read_notes(info, path);
  network.info.options = info.options;
  load_model(file, *network.model);
  ActivationChoice activations = describe_activations(activation_quant_options(*network.model));
  activations.bits = options.activation_bits.value_or(activations.bits);
  activations.rounding = options.activation_rounding.value_or(activations.rounding);
  change_activations(*network.model, parse_activations(activations));
  return network;
}

Network open_pretrained(const OptionTable& table, const TrainOptions& options) {
  const std::string& path = options.pretrained;
  const bool ours = read_model_info(SafetensorsFile(path)).version > 0;
  Network network = open_network(path, {.arch = table.given("arch") || !ours ? options.arch : ""});
  DS_CHECK(network.info.classes == class_count(options.dataset),
           "[pretrained] {} has {} classes, expected {}, those of {}", path, network.info.classes,
           class_count(options.dataset), options.dataset);
  return network;
}

void adopt_pretrained(const Network& pretrained, const OptionTable& table, TrainOptions& options) {
  options.arch = pretrained.info.architecture;
  if (const auto kind = shift_kind(*pretrained.model)) adopt_shift_weights(*kind, table, options);
  if (!table.given("activation-bits")) {
    options.activations = describe_activations(activation_quant_options(*pretrained.model));
  }
  if (!options.mean.empty() || !options.deviation.empty()) return;
  Normalization normalization = pretrained.notes.normalization;
  if (normalization.mean.empty()) {
    normalization = foreign_normalization(options.dataset);
    fmt::print(stderr, "note: {}\n", normalization_note(options.pretrained, normalization));
  }
  options.mean = as_printed(normalization.mean);
  options.deviation = as_printed(normalization.deviation);
}

Network make_network(const TrainOptions& options, std::optional<Network> pretrained) {
  manual_seed(options.seed);
  Network network = pretrained ? std::move(*pretrained) : build(options.arch, class_count(options.dataset));
  network.notes.dataset = options.dataset;
  network.notes.normalization.mean.assign(options.mean.begin(), options.mean.end());
  network.notes.normalization.deviation.assign(options.deviation.begin(), options.deviation.end());
  network.info.options = to_json(network.notes);
  if (*options.method != "float" && !shift_kind(*network.model)) convert(*network.model, options);
  change_activations(*network.model, parse_activations(options.activations));
  return network;
}

}  // namespace ds::apps
