#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/integer_net_task.h"
#include "apps/common/machine.h"
#include "apps/common/model_input.h"
#include "apps/common/option_table.h"
#include "apps/common/task.h"
#include "apps/deepshift/calibration.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"
#include "apps/deepshift/layer_bits.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "infer/integer_net_file.h"
#include "infer/lower.h"
#include "layers/convert.h"

namespace ds::apps {

namespace {

struct LowerFileOptions {
  std::string input;
  std::string output;
  std::string data;
  std::string arch;
  InputChoice images = {};
  CalibrationChoice calibration = {};
  std::optional<int> weight_bits = {};
  std::vector<std::string> layer_bits = {};
  std::optional<std::string> method = {};
  infer::LowerOptions lowering = {};
  std::string digits = "3";
  std::string formats = "squares";
  MachineOptions machine = {};
};

/// Float weights are rounded as they are; shift weights are those of the file.
void set_weights(const LowerFileOptions& options, Module& model) {
  const auto kind = shift_kind(model);
  if (!kind) {
    DS_CHECK(options.weight_bits,
             "[lower] {} has float weights: say with --weight-bits and --method what to round them to",
             options.input);
    convert_to_shift(model, {.method = parse_shift_method(options.method.value_or("q")),
                             .weight_bits = *options.weight_bits,
                             .layer_bits = parse_layer_bits(options.layer_bits)});
    return;
  }
  DS_CHECK(options.layer_bits.empty(), "[lower] {} has shift weights, but --layer-bits was given",
           options.input);
  DS_CHECK(!options.weight_bits || (*options.weight_bits == kind->format.bits && !kind->mixed()),
           "[lower] {} has weights of {} bits, but --weight-bits {} was given", options.input, kind->bits(),
           *options.weight_bits);
  DS_CHECK(!options.method || *options.method == name_of(kind->format.method),
           "[lower] {} has {} weights, but --method {} was given", options.input,
           name_of(kind->format.method), *options.method);
}

int lower_file(LowerFileOptions& options) {
  namespace fs = std::filesystem;
  DS_CHECK(!fs::exists(options.output) || !fs::equivalent(options.input, options.output),
           "[lower] input and output are the same file, {}", options.output);
  check_can_be_written(options.output);
  set_up_machine(options.machine);
  const Network network = open_network(options.input, {.arch = options.arch});
  const ModelInput input = input_of(network, options.input, options.images);
  set_weights(options, *network.model);
  network.model->eval();
  infer::LowerOptions& lowering = options.lowering;
  lowering.digits = options.digits == "full" ? infer::kFullDigits : std::stoi(options.digits);
  lowering.formats = parse_format_choice(options.formats);
  lowering.mean = input.normalization.mean;
  lowering.deviation = input.normalization.deviation;
  const Dataset train = load_dataset(input.without_labels(options.data), Split::kTrain);
  const Shape image = train.image_shape();
  const Tensor sample = Tensor::zeros({1, image[0], image[1], image[2]});
  const Dataset chosen = choose_images(train, options.calibration).in_memory();
  report_broken_images(train);
  const infer::IntegerNet net = infer::lower(trace(*network.model, sample), chosen.images, lowering);
  infer::save_integer_net(options.output, net, integer_net_notes(input));
  fmt::print("{}\nwrote {}: {} bytes of weights and multipliers\n", net.str(), options.output, net.bytes());
  return kExitOk;
}

}  // namespace

Command lower_command(CLI::App& parent) {
  auto options = std::make_shared<LowerFileOptions>();
  LowerFileOptions& o = *options;
  CLI::App* app = parent.add_subcommand("lower", "Makes an integer net of shifts and additions from a model");
  app->add_option("input", o.input, "model, safetensors")->required();
  app->add_option("output", o.output, "file to write")->required();
  app->add_option("--data", o.data, "folder of the data set: formats are chosen from training images")
      ->required();
  app->add_option("--arch", o.arch, "network (default: what the file says)");
  add_input_choice(*app, o.images);
  app->add_option("--weight-bits", o.weight_bits, "of float weights, which are rounded first")
      ->check(between(2, 5));
  add_layer_bits(*app, o.layer_bits);
  app->add_option("--method", o.method, "kind of those weights (default: q)")->transform(one_of({"q", "ps"}));
  app->add_option("--activation-bits", o.lowering.activation_bits, "of stored values: 8 or 16")
      ->capture_default_str()
      ->check(CLI::IsMember({8, 16}));
  app->add_option("--input-bits", o.lowering.input_bits, "of the normalised pixels: 8 or 16")
      ->capture_default_str()
      ->check(CLI::IsMember({8, 16}));
  app->add_option("--digits", o.digits,
                  "signed binary digits of a channel's multiplier: 1 to 4, or full (15 bits)")
      ->capture_default_str()
      ->transform(one_of({"1", "2", "3", "4", "full"}));
  app->add_option("--formats", o.formats,
                  "fraction bits by least squares, 99.99th percentile, or minimum and maximum")
      ->capture_default_str()
      ->transform(one_of({"squares", "percentile", "minmax"}));
  add_calibration(*app, o.calibration);
  add_threads(*app, o.machine.threads);
  return {app, [options] { return lower_file(*options); }};
}

}  // namespace ds::apps
