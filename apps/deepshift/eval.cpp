#include <fmt/format.h>

#include <memory>

#include "apps/common/app.h"
#include "apps/common/evaluate_file.h"
#include "apps/common/machine.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"

namespace ds::apps {

namespace {

struct EvalOptions {
  EvaluateOptions evaluation;
  MachineOptions machine;
};

int evaluate_model(EvalOptions& options) {
  check_evaluates_on(options.machine, options.evaluation.file);
  set_up_machine(options.machine);
  options.evaluation.device = options.machine.device;
  fmt::print("{}\n", accuracy_report(evaluate_file(options.evaluation)));
  return kExitOk;
}

}  // namespace

Command eval_command(CLI::App& parent) {
  auto options = std::make_shared<EvalOptions>();
  EvaluateOptions& o = options->evaluation;
  CLI::App* app =
      parent.add_subcommand("eval", "Counts the right answers of a model or integer net on the test images");
  app->add_option("file", o.file, "model or integer net (deepshift lower), safetensors")->required();
  app->add_option("--data", o.data, "folder of the data set")->required();
  app->add_option("--arch", o.arch, "network (default: what the file says)");
  add_input_choice(*app, o.input);
  app->add_option(
      "--activation-bits", o.activation_bits,
      "round activations to fixed point: I.F or B bits (default: what the file says, or float); B bits of a "
      "model trained without: ranges are those of each batch");
  app->add_option("--activation-rounding", o.activation_rounding,
                  "rounding of activations (default: what the file says)")
      ->transform(one_of({"nearest", "floor"}));
  app->add_option("--batch-size", o.batch_size, "images at a time (default: what suits their size)")
      ->check(at_least(1));
  app->add_option("--workers", o.workers, "threads that prepare batches")
      ->capture_default_str()
      ->check(between(0, 256));
  app->add_flag("--strict", o.strict, "an image that cannot be read is an error, and not left out");
  add_threads(*app, options->machine.threads);
  app->add_option("--engine", options->machine.engine,
                  "float engine (default: DEEPSHIFT_ENGINE, or the library's)");
  app->add_option("--precision", options->machine.precision, "of the products in convolutions: f32 or bf16")
      ->capture_default_str()
      ->transform(one_of({"f32", "bf16"}));
  app->add_option("--device", options->machine.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  return {app, [options] { return evaluate_model(*options); }};
}

}  // namespace ds::apps
