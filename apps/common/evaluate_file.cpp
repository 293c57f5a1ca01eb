#include "apps/common/evaluate_file.h"

#include <fmt/format.h>

#include <cmath>

#include "apps/common/network.h"
#include "apps/common/task.h"
#include "core/error.h"
#include "data/loader.h"
#include "models/registry.h"

namespace ds::apps {

std::string top1(const Evaluation& evaluation) { return "top-1 " + score(evaluation); }

Evaluation evaluate_file(const EvaluateOptions& options) {
  DS_CHECK(!options.data.empty(), "[options] --data is missing: the folder of the test images");
  const Network network = open_network(options.file, {.arch = options.arch,
                                                      .activation_bits = options.activation_bits,
                                                      .activation_rounding = options.activation_rounding});
  std::string dataset = options.dataset;
  if (dataset.empty())
    dataset = network.notes.dataset.empty() ? options.default_dataset : network.notes.dataset;
  DS_CHECK(network.info.classes == class_count(dataset), "[eval] {} has {} classes, expected {}, those of {}",
           options.file, network.info.classes, class_count(dataset), dataset);
  const Dataset test = load_dataset(dataset, options.data, Split::kTest);
  const Shape& input = models::find(network.info.architecture).input;
  DS_CHECK(input[2] == test.channels(), "[eval] {} holds {}, for images {}, but those of {} have {} channels",
           options.file, network.info.architecture, input.str(), dataset, test.channels());
  Normalization normalization = given_normalization(options.mean, options.deviation, test.channels());
  if (normalization.mean.empty()) normalization = network.notes.normalization;
  if (normalization.mean.empty()) {
    normalization = foreign_normalization(dataset);
    fmt::print(stderr, "note: {}\n", normalization_note(options.file, normalization));
  }
  const Device device = parse_device(options.device);
  network.model->to(device);
  DataLoader loader(test, {.batch = options.batch_size,
                           .workers = options.workers,
                           .normalization = normalization,
                           .device = device});
  const Evaluation result = evaluate(*network.model, loader);
  DS_CHECK(std::isfinite(result.loss), "[eval] {}: the outputs of the network are not finite", options.file);
  return result;
}

}  // namespace ds::apps
