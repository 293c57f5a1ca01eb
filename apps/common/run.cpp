#include "apps/common/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>

#include "apps/common/app.h"
#include "apps/common/evaluate_file.h"
#include "apps/common/interrupt.h"
#include "apps/common/machine.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/common/progress.h"
#include "apps/common/recipes.h"
#include "apps/common/run_folder.h"
#include "apps/common/run_summary.h"
#include "apps/common/system_info.h"
#include "apps/common/task.h"
#include "apps/common/trainer.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/profile.h"

namespace ds::apps {

namespace {

namespace fs = std::filesystem;

/// A run that is to be continued.
struct ResumePoint {
  std::string folder;
  std::string checkpoint;  // empty: the run was stopped before it wrote one, and starts anew
  RunState state = {};     // the checkpoint's
};

ResumePoint find_resume_point(const std::string& where) {
  if (fs::is_regular_file(where)) {
    const fs::path parent = fs::path(where).parent_path();
    return {.folder = parent.empty() ? "." : parent.string(),
            .checkpoint = where,
            .state = read_run_state(where)};
  }
  DS_CHECK(fs::exists(where + "/config.json"), "[resume] no run in '{}': config.json not found", where);
  const std::string last = where + "/last.safetensors";
  if (fs::exists(last)) return {.folder = where, .checkpoint = last, .state = read_run_state(last)};
  // The first checkpoint follows the best model and the first line of metrics: a kill may come between.
  const std::string metrics = where + "/metrics.jsonl";
  const size_t epochs = fs::exists(metrics) ? read_jsonl(metrics).size() : 0;
  DS_CHECK(epochs <= 1 && !fs::exists(where + "/summary.json"),
           "[resume] {}: not found, but {} is there: the run was further than its beginning", last,
           epochs > 1 ? "metrics.jsonl with more than one epoch" : "summary.json");
  say(stderr, fmt::format("note: {} holds no checkpoint yet: the run starts anew\n", where));
  return {.folder = where, .checkpoint = ""};
}

/// The options that config.json of a run holds. Throws Error naming the file when another program wrote it.
nlohmann::json stored_options(const std::string& config, const std::string& program) {
  const nlohmann::json json = read_json(config);
  DS_CHECK(json.is_object() && json.value("program", nlohmann::json()).is_string() &&
               json.value("options", nlohmann::json()).is_object(),
           "[resume] {}: not the configuration of a run: expected \"program\" and \"options\"", config);
  DS_CHECK(json.at("program") == program, "[resume] {}: the run was made by {}, this is {}", config,
           json.at("program").get<std::string>(), program);
  return json.at("options");
}

/// Takes over the options of the run: those in its folder and, above them, those in the checkpoint.
void adopt_run(const ResumePoint& point, OptionTable& table, const std::string& program) {
  const std::string config = point.folder + "/config.json";
  nlohmann::json stored = nlohmann::json::object();
  if (fs::exists(config)) stored = stored_options(config, program);
  const nlohmann::json planned = stored.value("epochs", nlohmann::json());
  if (!point.checkpoint.empty()) stored.update(point.state.recipe);
  // These schedules do not look ahead: more epochs leave what was done as it would have been.
  const std::string schedule = stored.value("schedule", "");
  const bool extensible = schedule == "constant" || schedule == "step" || schedule == "multistep";
  // Those of a later start, which was stopped before it wrote a checkpoint.
  if (extensible && planned.is_number_integer() && planned > stored["epochs"]) stored["epochs"] = planned;
  table.merge(stored, point.folder,
              extensible ? std::vector<std::string>{"epochs"} : std::vector<std::string>{});
}

/// Throws Error unless what the checkpoint counts as done is there and was not overtaken.
void check_resumable(const ResumePoint& point, const TrainOptions& options, int64_t train_images) {
  const RunState& state = point.state;
  DS_CHECK(state.train_images == train_images,
           "[resume] {}: the run has {} training images, but there are {} now", point.checkpoint,
           state.train_images, train_images);
  DS_CHECK(state.epoch <= options.epochs, "[resume] {}: {} epochs are done, but --epochs is {}",
           point.checkpoint, state.epoch, options.epochs);
  if (state.best_epoch == 0) return;
  const std::string best = point.folder + "/best.safetensors";
  DS_CHECK(fs::exists(best), "[resume] {}: not found; it holds the model of epoch {}, the best so far", best,
           state.best_epoch);
  const std::string metrics = point.folder + "/metrics.jsonl";
  if (!fs::exists(metrics)) return;
  const int64_t replaced_by = best_epoch(read_jsonl(metrics));
  // What is to be done again replaces it again: the epoch whose end was cut off, or without held-out images
  // any.
  const bool replaced_soon =
      state.epoch < options.epochs && (options.holdout == 0 || replaced_by == state.epoch + 1);
  DS_CHECK(
      replaced_by == state.best_epoch || replaced_soon,
      "[resume] {}: its best model is that of epoch {}, but {} holds that of epoch {}: the run went on after "
      "this checkpoint",
      point.checkpoint, state.best_epoch, best, replaced_by);
}

/// Throws Error when another process has written the checkpoint since its state was read. Runs go forward,
/// so that what was read of it in between is of that state, too, where it stands there still.
void check_unchanged(const ResumePoint& point, const std::string& checkpoint) {
  const RunState& before = point.state;
  const RunState now = read_run_state(checkpoint);
  DS_CHECK(
      now.epoch == before.epoch && now.batch == before.batch,
      "[resume] {}: {} epochs and {} batches were done when it was opened, now {} and {}: another process "
      "trains this run",
      point.checkpoint, before.epoch, before.batch, now.epoch, now.batch);
}

/// Another folder gets what the run has made so far, or nothing.
void bring_along(const ResumePoint& point, const RunFolder& folder) {
  const std::vector<std::pair<fs::path, std::string>> files = {
      {fs::path(point.folder) / fs::path(folder.best()).filename(), folder.best()},
      {fs::path(point.folder) / fs::path(folder.metrics()).filename(), folder.metrics()},
      {point.checkpoint, folder.last()}};
  try {
    for (const auto& [from, to] : files) {
      if (fs::exists(from)) copy_file_atomically(from.string(), to);
    }
    if (!point.checkpoint.empty()) check_unchanged(point, folder.last());
  } catch (...) {
    std::error_code ignored;
    for (const auto& [from, to] : files) fs::remove(to, ignored);
    throw;
  }
}

/// The classes of the network that the run goes on with, by label; empty where it is new or does not say.
std::vector<std::string> known_classes(const ResumePoint& point, const std::optional<Network>& pretrained) {
  if (pretrained) return pretrained->notes.classes;
  if (point.checkpoint.empty()) return {};
  return read_notes(read_model_info(SafetensorsFile(point.checkpoint)), point.checkpoint).classes;
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
  for (const double deviation : options.deviation) {
    DS_CHECK(deviation > 0.0 && std::isfinite(deviation),
             "[options] the images are divided by a standard deviation of {}, expected a number above 0",
             deviation);
  }
}

/// Where the run to resume is: --resume, --output or, with what --pretrained says, the default folder.
std::string resumed_path(OptionTable& table, TrainOptions options) {
  if (!options.resume.empty()) return options.resume;
  if (!options.output.empty()) return options.output;
  if (!options.pretrained.empty()) adopt_pretrained(open_pretrained(table, options), table, options);
  return default_output(options);
}

/// Reloads the chosen model, scores it on the test images and writes summary.json.
void finish_run(const TrainOptions& options, const Trainer& trainer, const Dataset& test,
                const RunFolder& folder) {
  auto peak = static_cast<int64_t>(memory_stats(trainer.evaluation_options().device).peak_in_use);
  // A run that had ended is only evaluated again.
  if (fs::exists(folder.summary()))
    peak = std::max(peak, read_json(folder.summary()).value("peak_memory_bytes", int64_t{0}));
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
                     .storage = weight_storage(*network.model),
                     .peak_memory = peak};
  DS_CHECK(chosen.held_out || summary.test.correct == chosen.evaluated.correct,
           "[train] {} scores {} after reloading, {} before it was saved", folder.best(), score(summary.test),
           score(chosen.evaluated));
  for (const EpochRecord& record : state.records) summary.seconds += record.seconds;
  write_json(folder.summary(), to_json(summary));
  fmt::print(
      "epoch {}{}: {}, {:.2f} bits a weight, {} bytes of weights, trained in {} with at most {} MiB of "
      "tensors\n",
      summary.best_epoch, summary.held_out ? ", best on held-out images" : ", the last one",
      "top-1 " + score(summary.test), summary.storage.bits_per_weight, summary.storage.bytes,
      format_duration(summary.seconds), (summary.peak_memory >> 20) + 1);
  DS_CHECK(std::isfinite(summary.test.loss),
           "[train] the loss on the test images is {}: the weights in {} have diverged", summary.test.loss,
           folder.best());
}

/// The network of a run: of its checkpoint, of --pretrained, or new.
Network starting_network(const TrainOptions& options, const Dataset& train, std::optional<Network> pretrained,
                         const ResumePoint& point) {
  Network network = make_network(options, std::move(pretrained), train.classes);
  // Before an optimizer sees the parameters: a checkpoint may hold other kinds of weights, layer by layer.
  if (!point.checkpoint.empty()) load_model(SafetensorsFile(point.checkpoint), *network.model);
  return network;
}

/// A profile of what happens between the calls, where one is asked for.
void begin_profile(const TrainOptions& options) {
  constexpr int64_t kTracedCalls = 200000;
  if (!options.profile && options.profile_trace.empty()) return;
  start_profile(options.profile_trace.empty() ? 0 : kTracedCalls);
}
void report_profile(const TrainOptions& options) {
  if (options.profile) say(stdout, profile_report());
  if (!options.profile_trace.empty()) write_profile_trace(options.profile_trace);
}

int train(OptionTable& table, TrainOptions& options, const std::string& program) {
  ResumePoint point;
  std::optional<Network> pretrained;
  if (!options.recipe.empty()) table.take_defaults(read_recipe(options.recipe), options.recipe);
  const bool resuming = table.given("resume");
  if (resuming) {
    point = find_resume_point(resumed_path(table, options));
    adopt_run(point, table, program);
    if (options.output.empty()) options.output = point.folder;
  }
  if (!options.pretrained.empty() && point.checkpoint.empty()) {
    pretrained = open_pretrained(table, options);
    if (!resuming) adopt_pretrained(*pretrained, table, options);
  }
  resolve(options);
  if (!resuming) check_effective(table, options);
  if (options.output.empty()) options.output = default_output(options);
  if (!options.profile_trace.empty()) check_can_be_written(options.profile_trace);  // now, not after hours
  set_up_machine(options.machine);
  TaskData data = load_task(options, known_classes(point, pretrained));
  settle_normalization(options, data.train.channels());
  if (!point.checkpoint.empty()) check_resumable(point, options, data.train.size());
  options.classes = network_classes(options, data.train);
  Network network = starting_network(options, data.train, std::move(pretrained), point);
  const bool in_place =
      resuming && fs::exists(options.output) && fs::equivalent(options.output, point.folder);
  const RunFolder folder = in_place ? RunFolder::open(options.output) : RunFolder::create(options.output);
  const std::string checkpoint = in_place || point.checkpoint.empty() ? point.checkpoint : folder.last();
  if (resuming && !in_place) bring_along(point, folder);
  if (in_place && !checkpoint.empty()) check_unchanged(point, checkpoint);
  say(stdout, fmt::format("{} on {}: {} training images, {}, output in {}\n", network.model->describe(),
                          options.dataset, data.train.size(), options.machine.device, folder.path()));
  const Dataset train_images = data.train;
  const Dataset test = data.test;
  Trainer trainer(options, table.recipe(), std::move(network), std::move(data), folder);
  if (!checkpoint.empty()) trainer.resume(checkpoint, point.state);
  if (point.state.epoch < options.epochs) fs::remove(folder.summary());  // of the run before it is extended
  write_config(folder, table, program);
  begin_profile(options);
  catch_interrupts();
  const bool finished = trainer.run();
  stop_profile();
  if (!finished) {
    report_profile(options);
    say(stderr,
        fmt::format("interrupted in epoch {} after {} batches; saved {}\ncontinue with: {} --resume {}\n",
                    trainer.state().epoch + 1, trainer.state().batch, folder.last(), program,
                    quoted(folder.path())));
    return kExitInterrupted;
  }
  finish_run(options, trainer, test, folder);
  for (const Dataset& images : {train_images, test}) report_broken_images(images);
  report_profile(options);
  return kExitOk;
}

int evaluate_only(const OptionTable& table, TrainOptions& options) {
  const std::string idle = table.first_given_beside(
      {"evaluate", "data", "dataset", "arch", "mean", "std", "workers", "device", "threads", "engine",
       "precision", "activation-bits", "activation-rounding", "image-size", "strict"});
  DS_CHECK(idle.empty(), "[options] --{} has no effect with --evaluate", idle);
  check_evaluates_on(options.machine, options.evaluate);
  set_up_machine(options.machine);
  EvaluateOptions evaluation{.file = options.evaluate,
                             .data = options.data,
                             .arch = table.given("arch") ? options.arch : "",
                             .input = {.dataset = table.given("dataset") ? options.dataset : "",
                                       .image_size = options.image_size,
                                       .mean = options.mean,
                                       .deviation = options.deviation},
                             .workers = options.workers,
                             .device = options.machine.device,
                             .strict = options.strict};
  if (table.given("activation-bits")) evaluation.activation_bits = options.activations.bits;
  if (table.given("activation-rounding")) evaluation.activation_rounding = options.activations.rounding;
  fmt::print("{}\n", accuracy_report(evaluate_file(evaluation)));
  return kExitOk;
}

/// The command line of a trainer, alive as long as it is used.
struct TrainerProgram {
  std::string name;
  OptionTable table;
  TrainOptions options;

  int run() { return table.given("evaluate") ? evaluate_only(table, options) : train(table, options, name); }
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
