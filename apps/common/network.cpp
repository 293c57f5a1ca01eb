#include "apps/common/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "apps/common/task.h"
#include "core/error.h"
#include "core/random.h"
#include "data/image_folder.h"
#include "infer/integer_net_file.h"
#include "layers/convert.h"
#include "layers/sequential.h"
#include "layers/weighted_layer.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

Network build(const std::string& arch, int64_t classes) {
  return {.model = models::make(arch, {.classes = classes}),
          .info = {.architecture = arch, .classes = classes}};
}

/// Of the images that the network was published for.
int64_t usual_classes(const std::string& arch) {
  return probable_dataset(models::find(arch).input) == kImageFolder ? 1000 : 10;
}

/// Parameters and buffers by name.
std::map<std::string, Tensor> tensors_of(Module& model) {
  std::map<std::string, Tensor> tensors;
  for (const NamedParameter& named : model.named_parameters())
    tensors.emplace(named.name, Variable(named.value).mutable_value());
  for (const NamedBuffer& named : model.named_buffers()) tensors.emplace(named.name, *named.value);
  return tensors;
}

/// The float network with new last layers for other classes; what does not depend on their number is kept.
Network with_new_classes(const Network& trained, int64_t classes) {
  DS_CHECK(!shift_kind(*trained.model),
           "[pretrained] a network of {} classes with shift weights cannot get {} classes: start from float "
           "weights",
           trained.info.classes, classes);
  Network network = build(trained.info.architecture, classes);
  const std::map<std::string, Tensor> values = tensors_of(*trained.model);
  std::vector<std::string> fresh;
  for (auto& [name, tensor] : tensors_of(*network.model)) {
    if (const Tensor& value = values.at(name); value.shape() == tensor.shape()) {
      tensor.copy_from(value);
    } else {
      fresh.push_back(name);
    }
  }
  fmt::print(stderr, "note: {} classes instead of {}: {} start anew\n", classes, trained.info.classes,
             fmt::join(fresh, ", "));
  return network;
}

/// Other rounding of activations than the network has; ranges that were learnt for that are lost.
void change_activations(Module& model, std::optional<ActivationQuantOptions> activations) {
  const std::optional<ActivationQuantOptions> present = activation_quant_options(model);
  if (activations && present) activations->momentum = present->momentum;  // no option says it
  if (activations != present) quantize_activations(model, activations);
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

/// The ends of a network whose first and last layer alone are float have the choice that made them so.
std::string first_last_of(Module& model) {
  const std::vector<NamedLayer> layers = weighted_layers(model);
  const auto is_float = [](const NamedLayer& named) { return !named.layer->weight().format().has_value(); };
  return is_float(layers.front()) && is_float(layers.back()) ? "float" : "shift";
}

/// The run's shift weights are the file's: what the command line says of them must agree.
void adopt_shift_weights(const Network& pretrained, const ShiftKind& kind, const OptionTable& table,
                         TrainOptions& options) {
  const std::string method(name_of(kind.format.method));
  const std::string rounding = kind.rounding == Rounding::kStochastic ? "stochastic" : "nearest";
  if (!options.method) options.method = method;
  const bool bits_given = table.given("weight-bits");
  if (!bits_given) options.weight_bits = kind.format.bits;
  const bool same_bits = options.weight_bits == kind.format.bits && !(bits_given && kind.mixed());
  if (!table.given("rounding")) options.rounding = rounding;
  DS_CHECK(
      *options.method == method && same_bits && options.rounding == rounding,
      "[pretrained] {} holds {} weights of {} bits, rounded {} in training; expected float weights, or those "
      "of "
      "--method {} --weight-bits {} --rounding {}",
      options.pretrained, method, kind.bits(), rounding, *options.method, options.weight_bits,
      options.rounding);
  const std::string ends = first_last_of(*pretrained.model);
  DS_CHECK(!table.given("first-last") || options.first_last == ends,
           "[pretrained] {} holds {} weights in its first and last layer, but --first-last {} was given",
           options.pretrained, ends, options.first_last);
  options.first_last = ends;
}

/// The activations of a file, but for what was asked for. Signs and tops belong to one kind of format each.
ActivationChoice chosen_activations(Module& model, const OpenOptions& options) {
  ActivationChoice choice = describe_activations(activation_quant_options(model));
  if (options.activation_bits) {
    const auto fixed = [](const std::string& bits) { return bits.find('.') != std::string::npos; };
    if (fixed(*options.activation_bits)) choice.unsigned_inputs = false;
    if (!fixed(*options.activation_bits)) choice.paper_top = false;
    choice.bits = *options.activation_bits;
  }
  if (options.activation_rounding) choice.rounding = *options.activation_rounding;
  return choice;
}

}  // namespace

Network new_network(const std::string& arch, const std::string& path, const std::vector<TensorSpec>& tensors,
                    int64_t classes) {
  Network network = build(arch, classes > 0 ? classes : usual_classes(arch));
  if (classes > 0) return network;
  const int64_t found = outputs_of(path, tensors, *network.model);
  return found == network.info.classes ? network : build(arch, found);
}

Network open_network(const std::string& path, const OpenOptions& options) {
  const SafetensorsFile file(path);
  DS_CHECK(!infer::holds_integer_net(file), "[model] {} is an integer net, expected a model", path);
  const ModelInfo info = read_model_info(file);
  check_classes(path, file.tensors(), info.classes);
  Network network =
      new_network(architecture_of(info, path, options.arch), path, file.tensors(), info.classes);
  network.notes = read_notes(info, path);
  network.info.options = info.options;
  load_model(file, *network.model);
  change_activations(*network.model, parse_activations(chosen_activations(*network.model, options)));
  return network;
}

Network open_pretrained(const OptionTable& table, const TrainOptions& options) {
  const std::string& path = options.pretrained;
  const bool ours = read_model_info(SafetensorsFile(path)).version > 0;
  Network network = open_network(path, {.arch = table.given("arch") || !ours ? options.arch : ""});
  const std::string& arch = network.info.architecture;
  DS_CHECK(models::find(arch).input == models::find(options.arch).input,
           "[pretrained] {} holds {}, for images {}; expected a network for images {}, those of {}", path,
           arch, models::find(arch).input.str(), models::find(options.arch).input.str(), options.dataset);
  const int64_t classes = class_count(options.dataset);
  DS_CHECK(classes == 0 || network.info.classes == classes,
           "[pretrained] {} has {} classes, expected {}, those of {}", path, network.info.classes, classes,
           options.dataset);
  return network;
}

void adopt_pretrained(const Network& pretrained, const OptionTable& table, TrainOptions& options) {
  options.arch = pretrained.info.architecture;
  if (const auto kind = shift_kind(*pretrained.model)) adopt_shift_weights(pretrained, *kind, table, options);
  if (!table.given("activation-bits")) {
    const ActivationChoice stored = describe_activations(activation_quant_options(*pretrained.model));
    ActivationChoice& choice = options.activations;
    choice.bits = stored.bits;
    if (!table.given("activation-rounding")) choice.rounding = stored.rounding;
    if (!table.given("activation-unsigned")) choice.unsigned_inputs = stored.unsigned_inputs;
    if (!table.given("activation-paper-top")) choice.paper_top = stored.paper_top;
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

Network make_network(const TrainOptions& options, std::optional<Network> pretrained,
                     const std::vector<std::string>& class_names) {
  manual_seed(options.seed);
  const int64_t classes = options.classes > 0 ? options.classes : class_count(options.dataset);
  Network network = pretrained ? std::move(*pretrained) : build(options.arch, classes);
  if (pretrained && network.info.classes != classes) network = with_new_classes(network, classes);
  network.notes = {};
  network.notes.dataset = options.dataset;
  network.notes.image_size = options.image_size;
  network.notes.classes = class_names;
  if (!class_names.empty()) name_further_classes(network.notes.classes, classes);
  network.notes.normalization.mean.assign(options.mean.begin(), options.mean.end());
  network.notes.normalization.deviation.assign(options.deviation.begin(), options.deviation.end());
  network.info.options = to_json(network.notes);
  if (*options.method != "float" && !shift_kind(*network.model)) convert(*network.model, options);
  change_activations(*network.model, parse_activations(options.activations));
  DS_CHECK(!options.recompute || recompute_blocks(*network.model) > 0,
           "[options] --recompute has no effect: {} has no blocks of layers", network.model->describe());
  return network;
}

}  // namespace ds::apps
