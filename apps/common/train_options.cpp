#include "apps/common/train_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>

#include "apps/common/optimization.h"
#include "apps/common/recipes.h"
#include "apps/common/task.h"
#include "core/backend.h"
#include "core/error.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

/// So that a run can be continued from any folder; an empty path stays empty.
std::string absolute_path(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

void add_photograph_options(OptionTable& table, TrainOptions& o) {
  table
      .add("image-size", o.image_size, "side of the squares that the network sees (default: the network's)",
           Effect::kResults)
      ->default_str("")
      ->check(between(1, 4096));
  table.add("classes", o.classes, "classes of the network (default: those of the images)", Effect::kResults)
      ->default_str("")
      ->check(between(1, 1 << 20));
  table
      .add("crop-scale", o.crop_scale, "least share of an image's area that training sees of it",
           Effect::kResults)
      ->check(between(0.01, 1));
  table
      .add("rand-augment", o.rand_augment,
           "magnitude of two random operations on each image, 0 to 30 (RandAugment); 0: none",
           Effect::kResults)
      ->check(between(0, 30));
  table
      .add("color-jitter", o.color_jitter,
           "random change of brightness, contrast and saturation, up to this share", Effect::kResults)
      ->check(between(0, 1));
  table.add("strict", o.strict, "an image that cannot be read is an error, and not left out",
            Effect::kResources);
}

void add_data_options(OptionTable& table, TrainOptions& o, const std::vector<std::string>& datasets) {
  table.group("Data");
  table.add("data", o.data, "folder of the data set", Effect::kResources)->check(not_empty());
  table.add("dataset", o.dataset, "data set", Effect::kResults)->transform(one_of(datasets));
  const bool photographs = o.dataset == kImageFolder;
  const bool digits = o.dataset == "mnist";  // mirrored, they would be others
  table
      .add("augment", o.augment,
           digits        ? "nothing changes digits but --cutout"
           : photographs ? "standard: a random part of the image, resized, and flip"
                         : "standard: random crop with 4 pixels of padding and flip (CIFAR)",
           Effect::kResults)
      ->transform(
          one_of(digits ? std::vector<std::string>{"none"} : std::vector<std::string>{"standard", "none"}));
  if (photographs) add_photograph_options(table, o);
  const char* normalisation = "per channel, of pixels in [0, 1] (default: the data set's, or --pretrained's)";
  table.add("mean", o.mean, fmt::format("mean {}", normalisation), Effect::kResults)
      ->expected(1, 3)
      ->delimiter(',')
      ->default_str("")
      ->check(finite());
  table.add("std", o.deviation, fmt::format("standard deviation {}", normalisation), Effect::kResults)
      ->expected(1, 3)
      ->delimiter(',')
      ->default_str("")
      ->check(above_zero());
  table
      .add("holdout", o.holdout,
           "training images held out to choose the best epoch by; 0: the last epoch is taken",
           Effect::kResults)
      ->check(at_least(0));
  table
      .add("limit-train", o.limit_train,
           photographs ? "train on N images only, spread over the classes, for quick tries; 0: all"
                       : "train on the first N images only, for quick tries; 0: all",
           Effect::kResults)
      ->check(at_least(0));
  table.add("workers", o.workers, "threads that prepare batches; 0: none", Effect::kResources)
      ->check(between(0, 256));
}

void add_model_options(OptionTable& table, TrainOptions& o) {
  std::vector<std::string> names;
  const Shape& input = models::find(o.arch).input;  // networks for the same images as the app's default
  for (const auto& entry : models::registry()) {
    if (entry.input == input) names.push_back(entry.name);
  }
  table.group("Network");
  table.add("arch", o.arch, "network", Effect::kResults)->transform(one_of(names));
  table.add("method", o.method, "kind of weights (default: float, or --pretrained's)", Effect::kResults)
      ->transform(one_of({"float", "q", "ps"}));
  table.add("weight-bits", o.weight_bits, "bits of a shift weight", Effect::kResults)->check(between(2, 7));
  table.add("rounding", o.rounding, "rounding of shift weights in training", Effect::kResults)
      ->transform(one_of({"nearest", "stochastic"}));
  table
      .add("ps-init", o.ps_init, "ps from scratch: converted from Kaiming floats, or random P and S",
           Effect::kResults)
      ->transform(one_of({"converted", "random"}));
  table
      .add("activation-bits", o.activations.bits,
           "round activations to fixed point: I.F, integer (with sign) and fraction bits, or B bits in all "
           "(default: float)",
           Effect::kResults)
      ->check(not_empty());
  table.add("activation-rounding", o.activations.rounding, "rounding of activations", Effect::kResults)
      ->transform(one_of({"nearest", "floor"}));
  table.add("activation-unsigned", o.activations.unsigned_inputs,
            "B bits: inputs that are never negative have no sign, and a bit more for their value",
            Effect::kResults);
  table.add("activation-paper-top", o.activations.paper_top,
            "I.F: saturate at the integer below the top, as the original program does", Effect::kResults);
  table.add("first-last", o.first_last, "weights of the first and the last layer", Effect::kResults)
      ->transform(one_of({"shift", "float"}));
  table
      .add("pretrained", o.pretrained,
           "safetensors file to start from: float weights are converted, shift "
           "weights of the method are kept",
           Effect::kResults)
      ->check(not_empty());
}

void add_training_options(OptionTable& table, TrainOptions& o) {
  table.group("Training");
  table.add("epochs", o.epochs, "passes over the training images", Effect::kResults)->check(at_least(1));
  table.add("batch-size", o.batch_size, "images a step", Effect::kResults)->check(at_least(1));
  table
      .add(
          "micro-batch-size", o.micro_batch_size,
          "images at a time: a step adds up their gradients, in less memory; batch norm sees so many; 0: all",
          Effect::kResults)
      ->check(at_least(0));
  table.add("optimizer", o.optimizer, "(default: sgd; ps: radam)", Effect::kResults)
      ->transform(one_of({"sgd", "adam", "adamw", "radam", "muon"}));
  table
      .add("lr", o.lr,
           "highest learning rate (default: 0.1; with --pretrained 0.01, ps 0.02; adam, adamw 0.001; muon "
           "0.03)",
           Effect::kResults)
      ->check(above_zero());
  table.add("momentum", o.momentum, "of sgd and muon", Effect::kResults)->check(between(0, 1));
  table.add("nesterov", o.nesterov, "sgd: Nesterov's momentum (muon always has it)", Effect::kResults);
  table.add("schedule", o.schedule, "learning rate over time", Effect::kResults)
      ->transform(one_of({"step", "multistep", "cosine", "onecycle", "constant"}));
  table
      .add("warmup-epochs", o.warmup_epochs,
           "cosine: epochs of linear warm-up, fractions allowed (default: 5 % of the epochs)",
           Effect::kResults)
      ->check(at_least(0));
  table
      .add("milestones", o.milestones, "multistep: epochs after which the rate is multiplied by gamma",
           Effect::kResults)
      ->delimiter(',')
      ->default_str("")
      ->check(at_least(1));
  table
      .add("step-epochs", o.step_epochs, "step: epochs between two steps (default: a third of the epochs)",
           Effect::kResults)
      ->check(at_least(1));
  table.add("gamma", o.gamma, "factor of step and multistep", Effect::kResults)->check(between(0, 1));
  table.add("seed", o.seed, "of initialisation, order and augmentation", Effect::kResults)
      ->check(at_least(0));
}

void add_regularisation_options(OptionTable& table, TrainOptions& o) {
  table.group("Regularisation (0 is off)");
  table
      .add("weight-decay", o.weight_decay,
           "of weights; ps: on 4^P, through the loss, and with muon S has a decay of its own "
           "(default: 5e-4; ps 1e-4, with muon 5e-4; muon 0.1; else with --pretrained 1e-4)",
           Effect::kResults)
      ->check(between(0, 1));
  table
      .add("label-smoothing", o.label_smoothing, "share of the target spread over all classes",
           Effect::kResults)
      ->check(between(0, 0.99));
  table.add("mixup", o.mixup, "alpha of mixup", Effect::kResults)->check(between(0, 100));
  table.add("cutmix", o.cutmix, "alpha of cutmix; with mixup, each batch has one of them", Effect::kResults)
      ->check(between(0, 100));
  table.add("cutout", o.cutout, "size of the erased square, in pixels", Effect::kResults)
      ->check(between(0, 4096));
  table
      .add("ema", o.ema, "decay of the average of weights that is evaluated and saved as best",
           Effect::kResults)
      ->check(between(0, 0.999999));
  table.add("grad-clip", o.grad_clip, "largest norm of the gradient", Effect::kResults)->check(at_least(0));
}

void add_machine_options(OptionTable& table, TrainOptions& o) {
  table.group("Machine");
  table
      .add("threads", o.machine.threads,
           "compute threads; 0: DEEPSHIFT_THREADS, or as many as processors are allowed", Effect::kResources)
      ->check(between(0, 4096));
  table.add("device", o.machine.device, "auto, cpu, cuda or cuda:N", Effect::kResults);
  table
      .add("precision", o.machine.precision,
           "of the products in convolutions: f32, tf32 (CUDA) or bf16 (faster on CUDA and with AVX512-BF16); "
           "sums and all else are f32",
           Effect::kResults)
      ->transform(one_of({"f32", "tf32", "bf16"}));
  table.add(
      "recompute", o.recompute,
      "keep the inputs of a network's blocks alone, and compute the rest again in the backward pass: less "
      "memory, more time, the same results",
      Effect::kResources);
  table.add("engine", o.machine.engine,
            "float matrix multiplication and convolution (default: DEEPSHIFT_ENGINE, or the "
            "library's)",
            Effect::kResults);
}

void add_run_options(OptionTable& table, TrainOptions& o) {
  table.group("Run");
  table
      .add("recipe", o.recipe,
           fmt::format("values for options that are not given: {}, or a JSON file",
                       fmt::join(recipe_names(), ", ")),
           Effect::kCall)
      ->check(not_empty());
  table.add("output", o.output, "folder of the run (default: runs/DATASET_ARCH_METHOD_seedN)", Effect::kCall)
      ->check(not_empty());
  table
      .add("resume", o.resume, "continue the run in --output, in this folder, or of this checkpoint",
           Effect::kCall)
      ->expected(0, 1);
  table
      .add("save-every", o.save_every, "steps between checkpoints within an epoch; 0: at its end only",
           Effect::kResources)
      ->check(at_least(0));
  table.add("profile", o.profile, "print at the end where the time went, operation by operation",
            Effect::kCall);
  table
      .add("profile-trace", o.profile_trace, "write the first calls as a trace that chrome://tracing shows",
           Effect::kCall)
      ->check(not_empty());
  table.add("evaluate", o.evaluate, "only evaluate this model file on the test images", Effect::kCall)
      ->check(not_empty());
}

/// What a run was started with and what repeats it need not be the same words.
void compare_values(OptionTable& table) {
  table.compare_by("device", [](const nlohmann::json& name) {
    return (name == "auto" ? best_device() : parse_device(name.get<std::string>())).str();
  });
  table.compare_by("pretrained",
                   [](const nlohmann::json& path) { return absolute_path(path.get<std::string>()); });
  for (const char* name : {"mean", "std"}) {
    table.compare_by(name, [](const nlohmann::json& values) {  // as floats; one value stands for all channels
      auto floats = values.get<std::vector<float>>();
      if (std::adjacent_find(floats.begin(), floats.end(), std::not_equal_to<>()) == floats.end() &&
          !floats.empty()) {
        floats.erase(floats.begin() + 1, floats.end());
      }
      return nlohmann::json(floats);
    });
  }
}

double default_lr(const TrainOptions& options) {
  if (*options.optimizer == "muon") return kMuonRate;
  if (*options.optimizer == "adam" || *options.optimizer == "adamw") return 0.001;
  if (options.pretrained.empty()) return 0.1;
  return *options.method == "ps" ? 0.02 : 0.01;
}

int64_t default_step_epochs(const TrainOptions& options) { return std::max<int64_t>(1, options.epochs / 3); }

double default_weight_decay(const TrainOptions& options) {
  const bool muon = *options.optimizer == "muon";
  if (*options.method == "ps") return muon ? kMuonShiftDecay : 1e-4;
  if (muon) return kMuonDecay;
  return options.pretrained.empty() ? 5e-4 : 1e-4;
}

}  // namespace

void add_train_options(OptionTable& table, TrainOptions& options, const std::vector<std::string>& datasets) {
  add_data_options(table, options, datasets);
  add_model_options(table, options);
  add_training_options(table, options);
  add_regularisation_options(table, options);
  add_machine_options(table, options);
  add_run_options(table, options);
  compare_values(table);
}

void resolve(TrainOptions& options) {
  DS_CHECK(!options.data.empty(), "[options] --data is missing: the folder of the {} files", options.dataset);
  options.data = absolute_path(options.data);
  options.pretrained = absolute_path(options.pretrained);
  if (!options.method) options.method = "float";
  if (options.dataset == kImageFolder && options.image_size == 0)
    options.image_size = models::find(options.arch).input[0];
  if (!options.optimizer) options.optimizer = *options.method == "ps" ? "radam" : "sgd";
  if (!options.lr) options.lr = default_lr(options);
  if (!options.weight_decay) options.weight_decay = default_weight_decay(options);
  DS_CHECK(!options.warmup_epochs || *options.warmup_epochs == 0.0 || options.schedule == "cosine",
           "[options] --warmup-epochs belongs to --schedule cosine, found {}", options.schedule);
  if (!options.warmup_epochs) {
    options.warmup_epochs = options.schedule == "cosine" ? 0.05 * static_cast<double>(options.epochs) : 0.0;
  }
  if (!options.step_epochs) options.step_epochs = default_step_epochs(options);
  parse_activations(options.activations);  // throws when the bits cannot be read
  DS_CHECK(*options.warmup_epochs < static_cast<double>(options.epochs),
           "[options] --warmup-epochs is {}, expected less than --epochs {}", *options.warmup_epochs,
           options.epochs);
  DS_CHECK(options.schedule != "multistep" || !options.milestones.empty(),
           "[options] --schedule multistep needs --milestones");
  DS_CHECK(std::is_sorted(options.milestones.begin(), options.milestones.end()),
           "[options] --milestones {} are not in ascending order", fmt::join(options.milestones, " "));
  DS_CHECK(!options.nesterov || (*options.optimizer == "sgd" && options.momentum > 0.0),
           "[options] --nesterov needs --optimizer sgd with a --momentum above 0");
  DS_CHECK(options.pretrained.empty() || options.ps_init == "converted",
           "[options] --ps-init random draws new weights, but --pretrained {} gives some",
           options.pretrained);
}

void check_effective(const OptionTable& table, const TrainOptions& options) {
  const TrainOptions
      defaults;  // what says no more than these misleads nobody: reports print whole command lines
  const bool shift = *options.method != "float";
  const bool rounds = !options.activations.bits.empty();
  const std::string& schedule = options.schedule;
  struct Need {
    const char* option;
    bool met;
    const char* needed;
  };
  for (const Need& need : std::initializer_list<Need>{
           {"weight-bits", shift || options.weight_bits == defaults.weight_bits, "--method q or ps"},
           {"rounding", shift || options.rounding == defaults.rounding, "--method q or ps"},
           {"first-last", shift || options.first_last == defaults.first_last, "--method q or ps"},
           {"ps-init", *options.method == "ps" || options.ps_init == defaults.ps_init, "--method ps"},
           {"activation-rounding", rounds || options.activations.rounding == defaults.activations.rounding,
            "--activation-bits"},
           {"activation-unsigned", rounds, "--activation-bits"},
           {"activation-paper-top", rounds, "--activation-bits"},
           {"crop-scale", options.augment == "standard" || options.crop_scale == defaults.crop_scale,
            "--augment standard"},
           {"momentum",
            *options.optimizer == "sgd" || *options.optimizer == "muon" ||
                options.momentum == defaults.momentum,
            "--optimizer sgd or muon"},
           {"milestones", schedule == "multistep", "--schedule multistep"},
           {"step-epochs", schedule == "step" || options.step_epochs == default_step_epochs(options),
            "--schedule step"},
           {"gamma", schedule == "step" || schedule == "multistep" || options.gamma == defaults.gamma,
            "--schedule step or multistep"}}) {
    DS_CHECK(need.met || !table.given(need.option), "[options] --{} has an effect with {} only", need.option,
             need.needed);
  }
}

std::string default_output(const TrainOptions& options) {
  const std::string method = options.method.value_or("float");
  const std::string bits = method == "float" ? "" : std::to_string(options.weight_bits);
  return fmt::format("runs/{}_{}_{}{}_seed{}", options.dataset, options.arch, method, bits, options.seed);
}

}  // namespace ds::apps
