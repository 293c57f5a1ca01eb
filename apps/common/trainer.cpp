#include "apps/common/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>

#include "apps/common/app.h"
#include "apps/common/diagnose.h"
#include "apps/common/interrupt.h"
#include "apps/common/optimization.h"
#include "apps/common/progress.h"
#include "autograd/functions.h"
#include "autograd/optim/grad_clip.h"
#include "autograd/tape.h"
#include "core/ops.h"
#include "core/parallel.h"
#include "layers/batchnorm2d.h"
#include "layers/convert.h"

namespace ds::apps {

namespace {

constexpr double kAuxiliaryWeight = 0.3;  // of auxiliary classifiers (Szegedy et al. 2015)

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
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
    ema_ = std::make_unique<Ema>(network_.model->parameters(), EmaOptions{.decay = options.ema},
                                 running_statistics(*network_.model));
  }
  const Normalization& normalization = network_.notes.normalization;
  evaluation_options_ = {.batch = evaluation_batch(data_.test.image_shape()),
                         .workers = options.workers,
                         .normalization = normalization,
                         .device = device};
  // Batch norm has no use for one image, whose features may be of one pixel.
  const int64_t images = data_.train.size();
  const bool lonely =
      options.batch_size > 1 && images > options.batch_size && images % options.batch_size == 1;
  if (lonely) {
    say(stderr, "note: the last image of an epoch would be alone in its batch and is left out\n");
  }
  LoaderOptions loading{.batch = options.batch_size,
                        .shuffle = true,
                        .drop_last = lonely,
                        .seed = options.seed,
                        .workers = options.workers,
                        .classes = network_.info.classes,
                        .mixup = options.mixup,
                        .cutmix = options.cutmix,
                        .label_smoothing = options.mixes() ? options.label_smoothing : 0.0,
                        .normalization = normalization,
                        .device = device};
  add_augmentation(options, data_.train.image_shape()[0], loading);
  loader_ = std::make_unique<DataLoader>(data_.train, loading);
  state_.recipe = std::move(recipe);
  state_.train_images = data_.train.size();
}

void Trainer::resume(const std::string& checkpoint, const RunState& state) {
  const nlohmann::json recipe = state_.recipe;
  state_ = state;
  state_.recipe = recipe;
  const SafetensorsFile file(checkpoint);
  load_training(file, *optimizer_);
  if (ema_ != nullptr) {
    EmaState averages = ema_->state();
    averages.updates = state_.ema_updates;
    for (auto& [name, tensor] : averages.tensors) {
      // Checkpoints of earlier versions have no averages of buffers: these begin as they are.
      const bool absent = name.starts_with("buffer.") && !file.contains("extra.ema." + name);
      tensor = absent ? tensor.clone() : file.read("extra.ema." + name).to(tensor.device());
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
  double waited = 0.0;
  for (Batch batch; next_batch(batch, waited);) {
    const int64_t rows = batch.images.size(0);
    schedule_->set_epoch(static_cast<double>(state_.epoch) +
                         static_cast<double>(state_.batch) / static_cast<double>(batches));
    partial.loss_sum += train_batch(batch) * static_cast<double>(rows);
    partial.images += rows;
    state_.batch = loader_->position();
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
  finish_epoch({.images = images_before, .seconds = seconds_before, .waited = waited});
  return !interrupted() || state_.epoch == options_.epochs;
}

bool Trainer::next_batch(Batch& batch, double& waited) {
  const Clock::time_point start = Clock::now();
  const bool found = loader_->next(batch);
  waited += seconds_since(start);
  return found;
}

double Trainer::add_gradients(const Batch& batch, double share, bool with_decay) {
  // The targets of mixup and cutmix are smoothed already.
  const CrossEntropyOptions smoothing{.label_smoothing = options_.mixes() ? 0.0 : options_.label_smoothing};
  Module& model = *network_.model;
  const Variable logits = model(batch.images);
  Variable loss = cross_entropy(logits, batch.labels, smoothing);
  const double value = check_finite(batch, loss.item(), "loss");
  for (const Variable& auxiliary : model.take_auxiliary())
    loss = loss + kAuxiliaryWeight * cross_entropy(auxiliary, batch.labels, smoothing);
  if (share < 1.0) loss = share * loss;
  const Variable decay = with_decay ? decay_loss(model, options_.weight_decay.value()) : Variable();
  (decay.defined() ? loss + decay : loss).backward();
  state_.partial.correct += count_correct(logits.value(), batch.labels);
  return share * value;
}

double Trainer::train_batch(const Batch& batch) {
  Module& model = *network_.model;
  const int64_t rows = batch.images.size(0);
  const int64_t most = options_.micro_batch_size > 0 ? options_.micro_batch_size : rows;
  const int64_t parts = chunk_count(rows, most);  // as even as can be
  double value = 0.0;
  optimizer_->zero_grad();
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t begin = rows * part / parts;
    const int64_t end = rows * (part + 1) / parts;
    value += add_gradients({batch.images.slice(begin, end), batch.labels.slice(begin, end)},
                           static_cast<double>(end - begin) / static_cast<double>(rows), begin == 0);
  }
  const double unlimited = std::numeric_limits<double>::max();
  check_finite(batch,
               clip_grad_norm(model.parameters(), options_.grad_clip > 0.0 ? options_.grad_clip : unlimited),
               "norm of the gradient");
  optimizer_->step();
  if (ema_ != nullptr) ema_->update();
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

void Trainer::finish_epoch(const EpochStart& start) {
  const PartialEpoch& partial = state_.partial;
  const auto images = static_cast<double>(partial.images);
  EpochRecord record{.epoch = state_.epoch + 1,
                     .loss = partial.loss_sum / images,
                     .train_accuracy = static_cast<double>(partial.correct) / images,
                     .evaluated = evaluate_now(),
                     .held_out = options_.holdout > 0,
                     .lr = optimizer_->lr(),
                     .seconds = partial.seconds};
  const double seconds = partial.seconds - start.seconds;
  record.images_per_s = static_cast<double>(partial.images - start.images) / seconds;
  record.waiting = start.waited / seconds;
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
      fmt::format("epoch {:{}}/{}  loss {:.4f}  train {:5.2f} %  {} {}{}  lr {:.3g}  {}  {:.1f} images/s, "
                  "{:.1f} % waiting for data\n",
                  state_.epoch, std::to_string(options_.epochs).size(), options_.epochs, record.loss,
                  100.0 * record.train_accuracy, record.held_out ? "held out" : "test",
                  score(record.evaluated), std::isfinite(record.evaluated.loss) ? "" : ", loss not finite",
                  record.lr, format_duration(record.seconds), record.images_per_s, 100.0 * record.waiting));
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
  save_training(folder_.last(), *network_.model, network_.info, *optimizer_,
                {.epoch = state.epoch, .batch = state.batch, .run = state.to_json()}, extra);
}

}  // namespace ds::apps
