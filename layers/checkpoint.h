// Saving and loading networks and training runs, as safetensors with JSON metadata.
//
// A model file holds parameters and buffers under PyTorch's names and axis orders. Its metadata says the
// format version, the architecture and what weight each layer has, so that a file knows what it is. A
// training checkpoint is a model file with the optimizer's tensors ("optimizer.0.momentum") and the run's
// state beside.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "autograd/optim/optimizer.h"
#include "core/safetensors.h"
#include "layers/module.h"

namespace ds {

/// Of the format. A file has the first version that can hold it, so that older readers take it: 1, with an
/// exponent offset 2, with weights of two terms 3.
inline constexpr int kCheckpointVersion = 3;

/// Everything of a run beyond the model, its optimizer and the default generator.
struct TrainingState {
  int64_t epoch = 0;     // finished epochs
  int64_t batch = 0;     // finished batches of the current epoch
  std::string run = {};  // the trainer's own state and configuration, as JSON
};

/// What a file's metadata says of the model in it.
struct ModelInfo {
  std::string architecture = {};  // empty where the file does not know (PyTorch's files)
  int64_t classes = 0;
  std::string options = {};  // JSON: activation bits, input normalisation, ...
  int version = 0;           // 0: not one of ours
};

ModelInfo read_model_info(const SafetensorsFile& file);

/// Writes the model. `info.version` plays no part: the file's follows from what it holds.
void save_model(const std::string& path, Module& model, const ModelInfo& info);
/// Converts layers to the weights and the rounding of activations that the file's metadata names, then loads
/// by name. Masters are clamped into their ranges. Throws Error that lists the missing, unexpected and
/// wrong-shaped tensors, up to 20 of each and how many more; the model is unchanged then. Parameters of
/// replaced weights are retired: make optimizers afterwards.
///
/// A file may leave out what serves training alone (Module::set_training_only), but all of it: that stays as
/// it is. A file that is not ours (PyTorch's) holds float weights and says nothing of rounding, which stays
/// as it is; its "num_batches_tracked" and a "module." before all names (DataParallel) are passed over.
void load_model(const SafetensorsFile& file, Module& model);
/// The same comparison without loading, for the float tensors of a file of PyTorch's that is not open yet:
/// throws the Error that load_model would.
void check_tensors(const std::string& path, const std::vector<TensorSpec>& tensors, Module& model);

/// "module.", which torch.nn.DataParallel puts before every name, or "model.", as training scripts name what
/// they wrap, where the tensors of a file have it and the model has not; else empty.
std::string wrapper_prefix(const std::vector<TensorSpec>& found, const Module& model);

/// Writes the model, the optimizer's state, where the default generator stands, and the run's state; what
/// reads them goes on with the same bits. Tensors of `extra` (an average of weights) are stored as
/// "extra.<name>" and read with file.read().
void save_training(const std::string& path, Module& model, const ModelInfo& info, const Optimizer& optimizer,
                   const TrainingState& state, const std::vector<NamedTensor>& extra = {});
/// The state alone, for what must be known before the optimizer is made. Throws Error when the file is a
/// model without a run.
TrainingState read_training_state(const SafetensorsFile& file);
/// Loads what save_training wrote, except for the model, which load_model reads: sets the optimizer's state
/// and the default generator. Throws Error, with nothing changed, when the state does not fit.
TrainingState load_training(const SafetensorsFile& file, Optimizer& optimizer);

}  // namespace ds
