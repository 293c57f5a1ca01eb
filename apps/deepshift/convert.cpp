#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/layer_bits.h"
#include "core/error.h"
#include "layers/convert.h"

namespace ds::apps {

namespace {

struct ConvertFileOptions {
  std::string input;
  std::string output;
  std::string arch;
  std::string method = "q";
  int weight_bits = 5;
  std::vector<std::string> layer_bits;
  std::string first_last = "shift";
};

int convert_file(const ConvertFileOptions& options) {
  namespace fs = std::filesystem;
  DS_CHECK(!fs::exists(options.output) || !fs::equivalent(options.input, options.output),
           "[convert] input and output are the same file, {}", options.output);
  DS_CHECK(options.first_last == "shift" || options.layer_bits.empty(),
           "[options] --layer-bits goes with --first-last shift: layers that stay float have no bits");
  const Network network = open_network(options.input, {.arch = options.arch});
  Module& model = *network.model;
  const ConvertReport report =
      convert_to_shift(model,
                       {.method = parse_shift_method(options.method),
                        .weight_bits = options.weight_bits,
                        .layer_bits = parse_layer_bits(options.layer_bits)},
                       options.first_last == "float" ? all_but_first_and_last(model) : ConvertPredicate{});
  save_model(options.output, model, network.info);
  fmt::print("{}\nwrote {}\n", report.str(), options.output);
  return kExitOk;
}

}  // namespace

Command convert_command(CLI::App& parent) {
  auto options = std::make_shared<ConvertFileOptions>();
  ConvertFileOptions& o = *options;
  CLI::App* app = parent.add_subcommand("convert", "Rounds the weights of a float model to powers of two");
  app->add_option("input", o.input, "float model, safetensors")->required();
  app->add_option("output", o.output, "file to write")->required();
  app->add_option("--arch", o.arch, "network (default: what the file says)");
  app->add_option("--method", o.method, "kind of weights")
      ->capture_default_str()
      ->transform(one_of({"q", "ps"}));
  app->add_option("--weight-bits", o.weight_bits, "bits of a weight")
      ->capture_default_str()
      ->check(between(2, 7));
  add_layer_bits(*app, o.layer_bits);
  app->add_option("--first-last", o.first_last, "weights of the first and the last layer")
      ->capture_default_str()
      ->transform(one_of({"shift", "float"}));
  return {app, [options] { return convert_file(*options); }};
}

}  // namespace ds::apps
