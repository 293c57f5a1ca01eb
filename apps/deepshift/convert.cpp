#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "apps/common/app.h"
#include "apps/common/evaluate_file.h"
#include "apps/common/machine.h"
#include "apps/common/model_input.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/common/progress.h"
#include "apps/common/run_summary.h"
#include "apps/common/task.h"
#include "apps/deepshift/calibration.h"
#include "apps/deepshift/calibration_file.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"
#include "apps/deepshift/layer_bits.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "data/loader.h"
#include "layers/compensate.h"
#include "models/evaluate.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

struct ConvertFileOptions {
  std::string input;
  std::string output;
  std::string arch;
  std::string method = "q";
  int weight_bits = 5;
  std::vector<std::string> layer_bits;
  std::vector<std::string> two_term;
  std::string first_last = "shift";
  std::string calibrate;  // folder of a data set, or file; empty: weights are rounded one by one
  bool plain = false;     // says so
  std::string data;       // folder of the test images, if answers are to be counted
  std::string compensation = "full";
  std::string activation_bits;
  int offset_bits = CompensationOptions().offset_bits;
  CalibrationChoice calibration;
  InputChoice images;
  int threads = 0;
};

Compensation parse_compensation(const std::string& text) {
  if (text == "statistics") return Compensation::kStatistics;
  return text == "float-target" ? Compensation::kFloatTarget : Compensation::kFull;
}

/// Paths of layers; "ends" are the first and the last one.
std::vector<std::string> two_term_layers(const std::vector<std::string>& names, Module& model) {
  const std::vector<NamedLayer> layers = weighted_layers(model);
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (name == "ends") {
      paths.insert(paths.end(), {layers.front().path, layers.back().path});
    } else {
      paths.push_back(name);
    }
  }
  return paths;
}

std::optional<ActivationFormat> activation_format(const ConvertFileOptions& options) {
  if (options.activation_bits.empty()) return std::nullopt;
  return parse_activation_format(options.activation_bits);
}

/// Whether images of a data set are looked at. Throws Error for a choice of images where none are.
bool looks_at_images(const ConvertFileOptions& options) {
  const bool chosen = !options.calibrate.empty() && !is_calibration_file(options.calibrate);
  const bool looks = chosen || !options.data.empty();
  const InputChoice& choice = options.images;
  DS_CHECK(looks || (choice.dataset.empty() && choice.mean.empty() && choice.deviation.empty() &&
                     choice.image_size == 0 && choice.class_names.empty()),
           "[options] --dataset, --image-size, --class-names, --mean and --std go with the folder of a data "
           "set, at "
           "--calibrate or --data");
  return looks;
}

/// Training images, or those of a file, as the network takes them.
Tensor sample_images(const ConvertFileOptions& options, const Network& network, const ModelInput& input) {
  if (is_calibration_file(options.calibrate)) {
    return read_calibration_file(options.calibrate, options.calibration,
                                 models::find(network.info.architecture).input);
  }
  const Dataset train = load_dataset(input.without_labels(options.calibrate), Split::kTrain);
  const Dataset chosen = choose_images(train, options.calibration);
  DataLoader loader(chosen, {.batch = chosen.size(), .workers = 0, .normalization = input.normalization});
  Tensor images = (*loader.begin()).images;
  report_broken_images(train);
  return images;
}

/// Of the network as it is, if there are test images.
void print_accuracy(const char* what, const std::string& data, const ModelInput& input, Module& model) {
  if (data.empty()) return;
  const Dataset test = load_dataset(input.in(data), Split::kTest);
  DataLoader loader(
      test,
      {.batch = evaluation_batch(test.image_shape()), .workers = 0, .normalization = input.normalization});
  fmt::print("{} {}\n", what, accuracy_report(evaluate(model, loader)));
  report_broken_images(test);
}

int convert_file(const ConvertFileOptions& options) {
  namespace fs = std::filesystem;
  DS_CHECK(!fs::exists(options.output) || !fs::equivalent(options.input, options.output),
           "[convert] input and output are the same file, {}", options.output);
  DS_CHECK(options.first_last == "shift" || options.layer_bits.empty(),
           "[options] --layer-bits goes with --first-last shift: layers that stay float have no bits");
  check_can_be_written(options.output);
  MachineOptions machine{.threads = options.threads, .device = "cpu", .engine = {}, .precision = "f32"};
  set_up_machine(machine);
  Network network = open_network(options.input, {.arch = options.arch});
  Module& model = *network.model;
  const ModelInput input =
      looks_at_images(options) ? input_of(network, options.input, options.images) : ModelInput{};
  print_accuracy("float:", options.data, input, model);
  const ConvertOptions conversion{.method = parse_shift_method(options.method),
                                  .weight_bits = options.weight_bits,
                                  .layer_bits = parse_layer_bits(options.layer_bits),
                                  .two_term = two_term_layers(options.two_term, model)};
  const ConvertPredicate predicate =
      options.first_last == "float" ? all_but_first_and_last(model) : ConvertPredicate{};
  if (options.calibrate.empty()) {
    fmt::print("{}\n", convert_to_shift(model, conversion, predicate).str());
  } else {
    if (!input.dataset.empty()) network.info.options = to_json(notes_of(input));
    std::optional<Progress> progress;
    const auto show = [&](int64_t done, int64_t total, const std::string& path) {
      if (!progress) progress.emplace("convert", total);
      progress->step(done, path);
    };
    const CompensateReport report =
        compensate(model, sample_images(options, network, input),
                   {.conversion = conversion,
                    .compensation = {.compensation = parse_compensation(options.compensation),
                                     .offset_bits = options.offset_bits},
                    .activations = activation_format(options),
                    .progress = show},
                   predicate);
    progress.reset();
    fmt::print("{}\n", report.str());
  }
  const WeightStorage storage = weight_storage(model);
  fmt::print("weights: {} bytes, {:.2f} bits each, {:.1f} times less than in f32\n", storage.bytes,
             storage.bits_per_weight, 32.0 / storage.bits_per_weight);
  print_accuracy("converted:", options.data, input, model);
  save_model(options.output, model, network.info);
  fmt::print("wrote {}\n", options.output);
  return kExitOk;
}

}  // namespace

Command convert_command(CLI::App& parent) {
  auto options = std::make_shared<ConvertFileOptions>();
  ConvertFileOptions& o = *options;
  CLI::App* app = parent.add_subcommand("convert", "Makes the weights of a float model powers of two");
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
  app->add_option("--two-term", o.two_term,
                  "layers, or modules, whose weights are sums of two powers of two, by path; ends: the first "
                  "and the last layer")
      ->delimiter(',');
  app->add_option("--calibrate", o.calibrate,
                  "folder of the data set: rounds so that each layer's outputs change least on training "
                  "images, whose labels are not used; or a safetensors file with a tensor input or images, "
                  "f32 [N,C,H,W] and normalised, whose first images are taken");
  app->add_flag("--plain", o.plain,
                "rounds the weights one by one, which is what happens without --calibrate")
      ->excludes("--calibrate");
  app->add_option("--data", o.data,
                  "folder of the data set: counts the right answers on its test images, before and after");
  app->add_option("--compensation", o.compensation,
                  "with --calibrate: full; float-target, without fitting weights to the images; statistics, "
                  "with plain "
                  "rounding and matched means and variances alone")
      ->capture_default_str()
      ->transform(one_of({"full", "float-target", "statistics"}));
  app->add_option(
         "--offset-bits", o.offset_bits,
         "with --calibrate: weights of up to so many bits get the exponent offset that suits them; 0: none")
      ->capture_default_str()
      ->check(between(0, 7));
  app->add_option(
      "--activation-bits", o.activation_bits,
      "with --calibrate: weights for a network whose activations will be rounded to fixed point, I.F "
      "or B bits, as lower does; the model's are not");
  add_calibration(*app, o.calibration);
  add_input_choice(*app, o.images);
  add_threads(*app, o.threads);
  app->add_option("--first-last", o.first_last, "weights of the first and the last layer")
      ->capture_default_str()
      ->transform(one_of({"shift", "float"}));
  for (const char* option :
       {"--compensation", "--offset-bits", "--activation-bits", "--calibration-images", "--seed"}) {
    app->get_option(option)->needs("--calibrate");
  }
  return {app, [options] { return convert_file(*options); }};
}

}  // namespace ds::apps
