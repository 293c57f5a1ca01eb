// The options of the trainers, their defaults and their checks.
//
// Defaults that depend on the method (REFERENCES: paper, section 4; rates by trial on CIFAR-10):
//
//                          float, q                     ps
//   optimizer              sgd, momentum 0.9            radam
//   lr, from scratch       0.1                          0.1
//   lr, with --pretrained  0.01                         0.02
//   weight decay           5e-4                         1e-4
//     with --pretrained    1e-4                         1e-4
//     not on batch norm, biases, P and S; for ps on 4^P, through the loss
//   with --optimizer muon  filters of convolutions by Muon: lr 0.03, decay 0.1; P and S of every layer too,
//                          at 2 and 10 times that rate, decay 5e-4 on 4^P, 0.01 on S; the rest by sgd
//                          with Nesterov's momentum at 6.7 times that rate, decay 5e-4
//   schedule               cosine to 0, after a linear warm-up over 5 % of the epochs
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/machine.h"
#include "apps/common/model_file.h"
#include "apps/common/option_table.h"

namespace ds::apps {

struct TrainOptions {
  // Data
  std::string data = {};
  std::string dataset = {};
  std::string augment = "standard";
  std::vector<double> mean = {};
  std::vector<double> deviation = {};
  int64_t holdout = 0;
  int64_t limit_train = 0;
  int workers = 2;
  bool strict = false;  // of photographs
  // Data: photographs in folders
  int64_t image_size = 0;  // resolved: that of the network's published images
  int64_t classes = 0;     // 0: as many as the images have
  double crop_scale = 0.08;
  int64_t rand_augment = 0;
  double color_jitter = 0.0;
  // Model
  std::string arch = {};
  std::optional<std::string> method = {};
  int weight_bits = 5;
  std::string rounding = "nearest";
  std::string ps_init = "converted";
  ActivationChoice activations = {};
  std::string first_last = "shift";
  std::string pretrained = {};
  // Training
  int64_t epochs = 30;
  int64_t batch_size = 128;
  int64_t micro_batch_size = 0;  // 0: the whole batch
  std::optional<std::string> optimizer = {};
  std::optional<double> lr = {};
  double momentum = 0.9;
  bool nesterov = false;
  std::string schedule = "cosine";
  std::optional<double> warmup_epochs = {};
  std::vector<int64_t> milestones = {};
  std::optional<int64_t> step_epochs = {};
  double gamma = 0.1;
  uint64_t seed = 1;
  // Regularisation
  std::optional<double> weight_decay = {};
  double label_smoothing = 0.0;
  double mixup = 0.0;
  double cutmix = 0.0;
  bool mixes() const { return mixup > 0.0 || cutmix > 0.0; }
  int64_t cutout = 0;
  double ema = 0.0;
  double grad_clip = 0.0;
  // Machine
  MachineOptions machine = {};
  bool recompute = false;
  // Run
  std::string recipe = {};
  std::string output = {};
  std::string resume = {};
  std::string evaluate = {};
  int64_t save_every = 0;
  bool profile = false;
  std::string profile_trace = {};
};

/// Adds all options to the command line. `options` already holds the app's own defaults.
void add_train_options(OptionTable& table, TrainOptions& options, const std::vector<std::string>& datasets);

/// Fills in what depends on the method, and checks what concerns more than one option. Throws Error.
void resolve(TrainOptions& options);

/// Throws Error naming an option of the command line that would change nothing.
void check_effective(const OptionTable& table, const TrainOptions& options);

/// "runs/cifar10_resnet20_q5_seed1".
std::string default_output(const TrainOptions& options);

}  // namespace ds::apps
