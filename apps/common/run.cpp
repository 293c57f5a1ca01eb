#include "apps/common/run.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/evaluate_file.h"
#include "apps/common/interrupt.h"
#include "apps/common/machine.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/common/progress.h"
#include "apps/common/run_folder.h"
#include "apps/common/run_summary.h"
#include "apps/common/system_info.h"
#include "apps/common/task.h"
#include "apps/common/trainer.h"
#include "core/error.h"

namespace ds::apps {

namespace {

namespace fs = std::filesystem;

/// A run that is to be continued.
struct ResumePoint {
  std::string folder;
  std::string checkpoint;  // empty: the run was stopped before it wrote one, and starts anew
};

ResumePoint find_resume_point(const std::string& where) {
  if (fs::is_regular_file(where)) {
    const fs::path parent = fs::path(where).parent_path();
    return {.folder = parent.empty() ? "." : parent.string(), .checkpoint = where};
  }
  DS_CHECK(fs::exists(where + "/config.json"), "[resume] no run in '{}': config.json not found", where);
  const std::string last = where + "/last.safetensors";
  return {.folder = where, .checkpoint = fs::exists(last) ? last : ""};
}

/// Takes over the options of the run: those in its folder and, above them, those in the checkpoint.
void adopt_run(const ResumePoint& point, OptionTable& table) {
  const std::string config = point.folder + "/config.json";
  nlohmann::json stored = nlohmann::json::object();
  if (fs::exists(config)) stored = read_json(config).value("options", stored);
  if (!point.checkpoint.empty()) stored.update(read_run_state(point.checkpoint).recipe);
  // These schedules do not look ahead: more epochs leave what was done as it would have been.
  const std::string schedule = stored.value("schedule", "");
  const bool extensible = schedule == "constant" || schedule == "step" || schedule == "multistep";
  table.merge(stored, point.folder,
              extensible ? std::vector<std::string>{"epochs"} : std::vector<std::string>{});
}

void write_config(const RunFolder& folder, const OptionTable& table, const std::string& program) {
  const SystemInfo system = system_info();
  write_json(folder.config(), {{"program", program},
                               {"version", system.version},
                               {"options", table.all()},
                               {"machine",
                                {{"cpu", system.cpu},
                                 {"instructions", system.cpu_isa},
                                 {"threads", system.threads},
                                 {"engine", system.engine},
                                 {"blas", system.blas},
                                 {"compiler", system.compiler},
                                 {"cuda", system.cuda}}}});
}

/// The images decide the normalisation where nothing else did; the run's configuration says what was taken.
void settle_normalization(TrainOptions& options, int64_t channels) {
  Normalization normalization = given_normalization(options.mean, options.deviation, channels);
  if (normalization.mean.empty()) normalization = default_normalization(options.dataset);
  options.mean = as_printed(normalization.mean);
  options.deviation = as_printed(normalization.deviation);
}

/// Reloads the chosen model, scores it on the test images and writes summary.json.
void finish_run(const TrainOptions& options, const Trainer& trainer, const Dataset& test,
                const RunFolder& folder) {
  const Network network = open_network(folder.best(), {});
  network.model->to(trainer.evaluation_options().device);
  DataLoader loader(test, trainer.evaluation_options());
  const RunState& state = trainer.state();
  const EpochRecord& chosen = state.records.at(static_cast<size_t>(state.best_epoch - 1));
  RunSummary summary{.run = folder.path(),
                     .arch = options.arch,
                     .dataset = options.dataset,
                     .method = method_name(*network.model),
                     .activation_bits = options.activations.bits,
                     .epochs = options.epochs,
                     .best_epoch = state.best_epoch,
                     .held_out = chosen.held_out,
                     .test = evaluate(*network.model, loader),
                     .storage = weight_storage(*network.model)};
  DS_CHECK(chosen.held_out || summary.test.correct == chosen.evaluated.correct,
           "[train] {} scores {} after reloading, {} before it was saved", folder.best(), score(summary.test),
           score(chosen.evaluated));
  for (const EpochRecord& record : state.records) summary.seconds += record.seconds;
  write_json(folder.summary(), to_json(summary));
  fmt::print("epoch {}{}: {}, {:.2f} bits a weight, {} bytes of weights, trained in {}\n", summary.best_epoch,
             summary.held_out ? ", best on held-out images" : ", the last one", top1(summary.test),
             summary.storage.bits_per_weight, summary.storage.bytes, format_duration(summary.seconds));
}

int train(OptionTable& table, TrainOptions& options, const std::string& program) {
  ResumePoint point;
  std::optional<Network> pretrained;
  const bool resuming = table.given("resume");
  if (resuming) {
    point = find_resume_point(!options.resume.empty()   ? options.resume
                              : !options.output.empty() ? options.output
                                                        : default_output(options));
    adopt_run(point, table);
    if (options.output.empty()) options.output = point.folder;
  }
  if (!options.pretrained.empty() && point.checkpoint.empty()) {
    pretrained = open_pretrained(table, options);
    if (!resuming) adopt_pretrained(*pretrained, table, options);
  }
  resolve(options);
  if (options.output.empty()) options.output = default_output(options);
  set_up_machine(options.machine);
  TaskData data = load_task(options);
  settle_normalization(options, data.train.channels());
  Network network = make_network(options, std::move(pretrained));
  const bool in_place =
      resuming && fs::exists(options.output) && fs::equivalent(options.output, point.folder);
  const RunFolder folder = in_place ? RunFolder::open(options.output) : RunFolder::create(options.output);
  write_config(folder, table, program);
  fmt::print("{} on {}: {} training images, {}, output in {}\n", network.model->describe(), options.dataset,
             data.train.size(), options.machine.device, folder.path());
  const Dataset test = data.test;
  std::fflush(stdout);
  Trainer trainer(options, table.recipe(), std::move(network), std::move(data), folder);
  if (!point.checkpoint.empty()) trainer.resume(point.checkpoint);
  catch_interrupts();
  if (!trainer.run()) {
    fmt::print(stderr, "interrupted in epoch {} after {} batches; saved {}\ncontinue with: {} --resume {}\n",
               trainer.state().epoch + 1, trainer.state().batch, folder.last(), program, folder.path());
    return kExitInterrupted;
  }
  finish_run(options, trainer, test, folder);
  return kExitOk;
}

int evaluate_only(const OptionTable& table, TrainOptions& options) {
  set_up_machine(options.machine);
  EvaluateOptions evaluation{.file = options.evaluate,
                             .data = options.data,
                             .arch = table.given("arch") ? options.arch : "",
                             .dataset = table.given("dataset") ? options.dataset : "",
                             .default_dataset = options.dataset,
                             .mean = options.mean,
                             .deviation = options.deviation,
                             .workers = options.workers,
                             .device = options.machine.device};
  if (table.given("activation-bits")) evaluation.activation_bits = options.activations.bits;
  if (table.given("activation-rounding")) evaluation.activation_rounding = options.activations.rounding;
  fmt::print("{}\n", top1(evaluate_file(evaluation)));
  return kExitOk;
}

/// The command line of a trainer, alive as long as it is used.
struct TrainerProgram {
  std::string name;
  OptionTable table;
  TrainOptions options;

  int run() { return options.evaluate.empty() ? train(table, options, name) : evaluate_only(table, options); }
};

}  // namespace

std::function<int()> set_up_trainer(CLI::App& app, const TrainOptions& defaults,
                                    const std::vector<std::string>& datasets) {
  const auto program = std::make_shared<TrainerProgram>(
      TrainerProgram{.name = app.get_name(), .table = OptionTable(app), .options = defaults});
  add_train_options(program->table, program->options, datasets);
  return [program] { return program->run(); };
}

}  // namespace ds::apps
