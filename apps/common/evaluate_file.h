// The accuracy of a model file: `deepshift eval` and the trainers' --evaluate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/machine.h"
#include "apps/common/metrics.h"
#include "apps/common/model_input.h"

namespace ds::apps {

struct EvaluateOptions {
  std::string file = {};
  std::string data = {};  // folder of the data set
  std::string arch = {};  // empty: what the file says
  InputChoice input = {};
  std::optional<std::string> activation_bits = {};  // nothing: what the file says
  std::optional<std::string> activation_rounding = {};
  int64_t batch_size = 0;  // 0: what suits the images
  int workers = 2;
  std::string device = "cpu";
  bool strict = false;  // an image that cannot be read is an error
};

/// Throws Error for a device, an engine or a precision that an integer net is not evaluated with, if the file
/// holds one.
void check_evaluates_on(const MachineOptions& machine, const std::string& file);

/// How many test images the model, or the integer net, names rightly. Throws Error naming the file.
Evaluation evaluate_file(const EvaluateOptions& options);

}  // namespace ds::apps
