// The network of a run or of a file.
#pragma once

#include <optional>
#include <string>

#include "apps/common/model_file.h"
#include "apps/common/train_options.h"
#include "layers/module.h"

namespace ds::apps {

/// A network and what its files will say of it.
struct Network {
  ModulePtr model;
  ModelInfo info = {};
  ModelNotes notes = {};
};

/// How to open a model file.
struct OpenOptions {
  std::string arch = {};                                // empty: what the file says
  std::optional<std::string> activation_bits = {};      // nothing: what the file says
  std::optional<std::string> activation_rounding = {};  // nothing: what the file says
};

/// A new network for the tensors of a file: of so many classes or, with 0 (PyTorch's files do not say), as
/// many as its last layer has outputs there. Throws Error naming the file when it holds no such layer.
Network new_network(const std::string& arch, const std::string& path, const std::vector<TensorSpec>& tensors,
                    int64_t classes);
/// The network in a file, with its weights. Throws Error naming file, tensor, found and expected.
Network open_network(const std::string& path, const OpenOptions& options);

/// Opens the --pretrained file. Throws Error when it does not fit the data set's classes.
Network open_pretrained(const OptionTable& table, const TrainOptions& options);
/// Takes from the pretrained network what the command line leaves open: architecture, method, bits, rounding,
/// normalisation. Throws Error when both say something and differ.
void adopt_pretrained(const Network& pretrained, const OptionTable& table, TrainOptions& options);

/// The network that a run starts from: new, or the pretrained one; its weights and activations are made what
/// the options, resolved, say. Restarts the default generator.
/// `class_names` are what its file says of the images.
Network make_network(const TrainOptions& options, std::optional<Network> pretrained,
                     const std::vector<std::string>& class_names = {});

}  // namespace ds::apps
