// Exponential moving average of parameters, for evaluation.
//
//   shadow <- d shadow + (1 - d) parameter,   d = min(decay, (1 + t) / (10 + t)) at update t = 1, 2, ...
//
// The averages start as the parameters are when the object is made. Running statistics of batch norm must be
// averaged with the weights whose outputs they describe (PyTorch: AveragedModel with use_buffers).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace ds {

struct EmaOptions {
  double decay = 0.999;
};

/// Averages by name ("0" is that of parameter 0, "buffer.0" of buffer 0), for checkpoints.
struct EmaState {
  int64_t updates = 0;
  std::vector<std::pair<std::string, Tensor>> tensors;
};

class Ema {
 public:
  /// The buffers are their modules'. Throws Error unless 0 <= decay < 1 and no parameter is listed twice.
  explicit Ema(std::vector<Variable> parameters, const EmaOptions& options = {},
               std::vector<Tensor*> buffers = {});

  /// After each optimizer step. Throws Error while the averages are swapped in.
  void update();
  /// Exchanges parameters and buffers with their averages: before an evaluation, and again after it.
  void swap();
  bool swapped() const { return swapped_; }

  /// The tensors are those in use, not copies. Throws Error while the averages are swapped in.
  EmaState state() const;
  /// Copies the tensors. Throws Error, with nothing changed, when they do not fit the parameters.
  void load_state(const EmaState& state);

 private:
  void check_swapped_out(const char* what) const;
  std::string name_of_average(size_t i) const;

  std::vector<Variable> parameters_;
  std::vector<Tensor*> buffers_;
  std::vector<Tensor> averages_;  // of the parameters, then of the buffers
  EmaOptions options_;
  int64_t updates_ = 0;
  bool swapped_ = false;
};

/// Exchanges parameters and averages for as long as it lives; does nothing without an Ema.
class EmaScope {
 public:
  explicit EmaScope(Ema* ema) : ema_(ema) {
    if (ema_ != nullptr) ema_->swap();
  }
  ~EmaScope() {
    if (ema_ != nullptr) ema_->swap();
  }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  Ema* ema_;
};

}  // namespace ds
