#include "apps/common/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>

#include "apps/common/app.h"
#include "apps/common/diagnose.h"
#include "apps/common/interrupt.h"
#include "apps/common/optimization.h"
#include "apps/common/progress.h"
#include "autograd/functions.h"
#include "autograd/optim/grad_clip.h"
#include "autograd/tape.h"
#include "core/ops.h"
#include "layers/convert.h"

namespace ds::apps {

namespace {

constexpr int64_t kEvaluationBatch = 250;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Where the default generator stands, and back.
std::string describe_generator() {
  const Generator& generator = default_generator();
  return fmt::format("{} {} {}", generator.seed(), generator.stream(), generator.position());
}
void restore_generator(const std::string& text, const std::string& path) {
  std::istringstream words(text);
  uint64_t seed = 0;
  uint64_t stream = 0;
  uint64_t position = 0;
  DS_CHECK(words >> seed >> stream >> position, "[resume] {}: generator is '{}', expected three numbers",
           path, text);
  default_generator() = Generator(seed, stream);
  default_generator().set_position(position);
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, nlohmann::json recipe, Network network, TaskData data,
                 const RunFolder& folder)
    : options_(options), network_(std::move(network)), data_(std::move(data)), folder_(folder) {
  const Device device = parse_device(options.machine.device);
  network_.model->to(device);
  optimizer_ = make_optimizer(options, *network_.model);
  schedule_ = make_schedule(options, *optimizer_);
  if (options.ema > 0.0) {
    ema_ = std::make_unique<Ema>(network_.model->parameters(), EmaOptions{.decay = options.ema});
  }
  const Normalization& normalization = network_.notes.normalization;
  evaluation_options_ = {.batch = kEvaluationBatch,
                         .workers = options.workers,
                         .normalization = normalization,
                         .device = device};
  loader_ =
      std::make_unique<DataLoader>(data_.train, LoaderOptions{.batch = options.batch_size,
                                                              .shuffle = true,
                                                              .seed = options.seed,
                                                              .workers = options.workers,
                                                              .mixup = options.mixup,
                                                              .label_smoothing = options.label_smoothing,
                                                              .normalization = normalization,
                                                              .device = device,
                                                              .augment = augmentation(options)});
  state_.recipe = std::move(recipe);
  state_.train_images = data_.train.size();
}

void Trainer::resume(const std::string& checkpoint, const RunState& state) {
  const nlohmann::json recipe = state_.recipe;
  state_ = state;
  state_.recipe = recipe;
  const SafetensorsFile file(checkpoint);
  restore_generator(load_training(file, *optimizer_).generator, checkpoint);
  if (ema_ != nullptr) {
    EmaState averages = ema_->state();
    averages.updates = state_.ema_updates;
    for (auto& [name, tensor] : averages.tensors) {
      tensor = file.read("extra.ema." + name).to(tensor.device());
    }
    ema_->load_state(averages);
  }
  if (std::filesystem::exists(folder_.metrics())) state_.take_timings(read_jsonl(folder_.metrics()));
  write_file_atomically(folder_.metrics(),
                        to_jsonl(state_.records));  // without what came after the checkpoint
  if (!state_.records.empty()) draw_curves();
}

bool Trainer::run() {
  while (state_.epoch < options_.epochs) {
    if (!run_epoch()) return false;
  }
  return true;
}

bool Trainer::run_epoch() {
  const int64_t batches = loader_->batches();
  const Clock::time_point start = Clock::now();
  const double seconds_before = state_.partial.seconds;
  const int64_t images_before = state_.partial.images;
  Progress progress(fmt::format("epoch {:{}}/{}", state_.epoch + 1, std::to_string(options_.epochs).size(),
                                options_.epochs),
                    data_.train.size(), images_before);
  network_.model->train();
  loader_->start(state_.epoch, state_.batch);
  PartialEpoch& partial = state_.partial;
  for (Batch batch; loader_->next(batch);) {
    const int64_t rows = batch.images.size(0);
    schedule_->set_epoch(static_cast<double>(state_.epoch) +
                         static_cast<double>(state_.batch) / static_cast<double>(batches));
    partial.loss_sum += train_batch(batch) * static_cast<double>(rows);
    partial.images += rows;
    ++state_.batch;
    partial.seconds = seconds_before + seconds_since(start);
    const auto images = static_cast<double>(partial.images);
    progress.update(partial.images, {.loss = partial.loss_sum / images,
                                     .accuracy = static_cast<double>(partial.correct) / images});
    if (state_.batch == batches) break;
    if (interrupted()) {
      progress.finish();
      save();
      return false;
    }
    if (options_.save_every > 0 && optimizer_->steps() % options_.save_every == 0) save();
  }
  progress.finish();
  finish_epoch(images_before, seconds_before);
  return !interrupted() || state_.epoch == options_.epochs;
}

double Trainer::train_batch(const Batch& batch) {
  // Mixup's targets are smoothed already.
  const double smoothing = options_.mixup > 0.0 ? 0.0 : options_.label_smoothing;
  Module& model = *network_.model;
  const Variable logits = model(batch.images);
  const Variable loss = cross_entropy(logits, batch.labels, {.label_smoothing = smoothing});
  const double value = check_finite(batch, loss.item(), "loss");
  const Variable decay = decay_loss(model, options_.weight_decay.value());
  optimizer_->zero_grad();
  (decay.defined() ? loss + decay : loss).backward();
  const double unlimited = std::numeric_limits<double>::max();
  check_finite(batch,
               clip_grad_norm(model.parameters(), options_.grad_clip > 0.0 ? options_.grad_clip : unlimited),
               "norm of the gradient");
  optimizer_->step();
  if (ema_ != nullptr) ema_->update();
  state_.partial.correct += count_correct(logits.value(), batch.labels);
  return value;
}

double Trainer::check_finite(const Batch& batch, double value, const char* what) const {
  if (std::isfinite(value)) return value;
  const std::string gradient = first_gradient_not_finite(*network_.model);
  const std::string culprit =
      gradient.empty() ? first_not_finite(*network_.model, batch.images) : "the gradient of " + gradient;
  const std::string kept = std::filesystem::exists(folder_.last())
                               ? fmt::format("the last checkpoint stays in {}", folder_.last())
                               : "no checkpoint was written yet";
  const double shown = std::isnan(value) ? std::abs(value) : value;  // "nan", whatever its sign
  fail("[train] the {} is {} at step {} (epoch {}, batch {} of {}): first not finite is {}; {}", what, shown,
       optimizer_->steps() + 1, state_.epoch + 1, state_.batch + 1, loader_->batches(), culprit, kept);
}

Evaluation Trainer::evaluate_now() {
  const EmaScope averages(ema_.get());
  DataLoader loader(data_.evaluation, evaluation_options_);
  return evaluate(*network_.model, loader);
}

void Trainer::finish_epoch(int64_t images_before, double seconds_before) {
  const PartialEpoch& partial = state_.partial;
  const auto images = static_cast<double>(partial.images);
  EpochRecord record{.epoch = state_.epoch + 1,
                     .loss = partial.loss_sum / images,
                     .train_accuracy = static_cast<double>(partial.correct) / images,
                     .evaluated = evaluate_now(),
                     .held_out = options_.holdout > 0,
                     .lr = optimizer_->lr(),
                     .seconds = partial.seconds};
  record.images_per_s =
      static_cast<double>(partial.images - images_before) / (partial.seconds - seconds_before);
  state_.records.push_back(record);
  state_.partial = {};
  state_.batch = 0;
  ++state_.epoch;
  state_.best_epoch = best_epoch(state_.records);
  if (state_.best_epoch == state_.epoch) {
    const EmaScope averages(ema_.get());
    save_model(folder_.best(), *network_.model, network_.info);
  }
  say(stdout,
      fmt::format("epoch {:{}}/{}  loss {:.4f}  train {:5.2f} %  {} {}{}  lr {:.3g}  {}  {:.1f} images/s\n",
                  state_.epoch, std::to_string(options_.epochs).size(), options_.epochs, record.loss,
                  100.0 * record.train_accuracy, record.held_out ? "held out" : "test",
                  score(record.evaluated), std::isfinite(record.evaluated.loss) ? "" : ", loss not finite",
                  record.lr, format_duration(record.seconds), record.images_per_s));
  // The checkpoint comes last: what it counts as finished is then on disk.
  write_file_atomically(folder_.metrics(), to_jsonl(state_.records));
  draw_curves();
  save();
}

void Trainer::draw_curves() const {
  write_file_atomically(folder_.curves(), render_svg(training_curves(state_.records)));
}

void Trainer::save() const {
  std::vector<NamedTensor> extra;
  RunState state = state_;
  if (ema_ != nullptr) {
    const EmaState averages = ema_->state();
    state.ema_updates = averages.updates;
    for (const auto& [name, tensor] : averages.tensors) extra.push_back({"ema." + name, tensor});
  }
  save_training(
      folder_.last(), *network_.model, network_.info, *optimizer_,
      {.epoch = state.epoch, .batch = state.batch, .generator = describe_generator(), .run = state.to_json()},
      extra);
}

}  // namespace ds::apps
