// The training loop: epochs, evaluation, checkpoints. Killed at any moment and resumed, a run ends with the
// same bits as one that was not: everything that the next step depends on is in the checkpoint, and each file
// of the folder is a function of the state it was written in.
#pragma once

#include <memory>
#include <string>

#include "apps/common/metrics.h"
#include "apps/common/network.h"
#include "apps/common/run_folder.h"
#include "apps/common/run_state.h"
#include "apps/common/task.h"
#include "apps/common/train_options.h"
#include "autograd/optim/ema.h"
#include "autograd/optim/optimizer.h"
#include "autograd/optim/schedule.h"
#include "data/loader.h"

namespace ds::apps {

class Progress;

class Trainer {
 public:
  /// Options are resolved. `recipe` is what the checkpoint says of them.
  Trainer(const TrainOptions& options, nlohmann::json recipe, Network network, TaskData data,
          const RunFolder& folder);

  /// Continues from a checkpoint, whose weights the network has and whose state is given. Throws Error when
  /// it does not fit the optimizer.
  void resume(const std::string& checkpoint, const RunState& state);
  /// Trains to the last epoch; false when a signal ended it early, with everything saved. Throws Error, with
  /// the last checkpoint untouched, when the loss or a gradient is not finite.
  bool run();

  const RunState& state() const { return state_; }
  /// For evaluating the final model as the epochs were evaluated.
  const LoaderOptions& evaluation_options() const { return evaluation_options_; }

 private:
  /// Where an epoch stood when this process took it up, and how long it waited for batches.
  struct EpochStart {
    int64_t images = 0;
    double seconds = 0.0;
    double waited = 0.0;
  };

  bool run_epoch();
  bool next_batch(Batch& batch, double& waited);
  /// One step. Returns the loss.
  double train_batch(const Batch& batch);
  /// Adds the gradients of a share of a batch; returns its share of the loss.
  double add_gradients(const Batch& batch, double share, bool with_decay);
  double check_finite(const Batch& batch, double loss, const char* what) const;
  void finish_epoch(const EpochStart& start);
  void save() const;
  void draw_curves() const;
  Evaluation evaluate_now();

  TrainOptions options_;
  Network network_;
  TaskData data_;
  const RunFolder& folder_;
  RunState state_;
  LoaderOptions evaluation_options_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Schedule> schedule_;
  std::unique_ptr<Ema> ema_;
  std::unique_ptr<DataLoader> loader_;
};

}  // namespace ds::apps
