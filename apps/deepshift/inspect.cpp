#include <fmt/format.h>

#include <memory>
#include <string>

#include "apps/common/app.h"
#include "apps/common/network.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/inspect_net.h"
#include "infer/integer_net_file.h"
#include "layers/summary.h"
#include "layers/weighted_layer.h"
#include "layers/weights/exponents.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

struct InspectOptions {
  std::string file;
  std::string arch;
};

void print_notes(const Network& network, const std::string& file) {
  const std::string activations = describe_activations(activation_quant_options(*network.model)).bits;
  const std::string& dataset = network.notes.dataset;
  fmt::print("{}: {}, {} classes, {} weights, {} activations, {}\n\n", file, network.info.architecture,
             network.info.classes, method_name(*network.model), activations.empty() ? "float" : activations,
             dataset.empty() ? "data set unknown" : "trained on " + dataset);
}

int inspect_file(const InspectOptions& options) {
  if (const SafetensorsFile file(options.file); infer::holds_integer_net(file)) {
    fmt::print("{}", describe_net(infer::load_integer_net(file)));
    return kExitOk;
  }
  const Network network = open_network(options.file, {.arch = options.arch});
  print_notes(network, options.file);
  fmt::print("{}", summarize(*network.model, models::find(network.info.architecture).input).str());
  for (const NamedLayer& named : weighted_layers(*network.model)) {
    const Weight& weight = named.layer->weight();
    if (!weight.format()) continue;
    fmt::print("\n{}  {}  exponents p of the {} +-2^p\n{}", named.path, weight.describe(),
               weight.format()->terms == 1 ? "weights" : "terms",
               count_exponents(weight.rounded(), *weight.format()).str());
  }
  return kExitOk;
}

}  // namespace

Command inspect_command(CLI::App& parent) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* app = parent.add_subcommand(
      "inspect",
      "Shows the layers of a model, their work and their exponents; or the nodes of an integer net");
  app->add_option("file", options->file, "model or integer net, safetensors")->required();
  app->add_option("--arch", options->arch, "network (default: what the file says)");
  return {app, [options] { return inspect_file(*options); }};
}

}  // namespace ds::apps
