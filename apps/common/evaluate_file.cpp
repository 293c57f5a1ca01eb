#include "apps/common/evaluate_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/common/integer_net_task.h"
#include "apps/common/network.h"
#include "apps/common/task.h"
#include "core/error.h"
#include "data/loader.h"
#include "infer/cpu/cpu_net.h"
#include "infer/integer_net_file.h"

namespace ds::apps {

namespace {

constexpr int64_t kIntegerBatch = 16;  // their values stay in the caches

Evaluation evaluate_integer_net(const SafetensorsFile& file, const EvaluateOptions& options) {
  DS_CHECK(!options.activation_bits && !options.activation_rounding && options.input.mean.empty() &&
               options.arch.empty(),
           "[eval] {} is an integer net: it holds its network, its normalisation and its rounding",
           options.file);
  const IntegerNetTask task = load_integer_net_task(file, options.data, options.input);
  const infer::CpuNet cpu(task.net, {.batch = kIntegerBatch});
  Evaluation result{.total = task.test.size()};
  for (int64_t first = 0; first < task.test.size(); first += options.batch_size) {
    const Dataset batch = task.test.slice(first, std::min(first + options.batch_size, task.test.size()));
    result.correct += count_correct(cpu(batch.images).to(DType::kF64), batch.labels);
  }
  return result;
}

}  // namespace

std::string top1(const Evaluation& evaluation) { return "top-1 " + score(evaluation); }

Evaluation evaluate_file(const EvaluateOptions& options) {
  DS_CHECK(!options.data.empty(), "[options] --data is missing: the folder of the test images");
  if (const SafetensorsFile file(options.file); infer::holds_integer_net(file))
    return evaluate_integer_net(file, options);
  const Network network = open_network(options.file, {.arch = options.arch,
                                                      .activation_bits = options.activation_bits,
                                                      .activation_rounding = options.activation_rounding});
  const ModelInput input = input_of(network, options.file, options.input);
  const Dataset test = load_dataset(input.dataset, options.data, Split::kTest);
  const Device device = parse_device(options.device);
  network.model->to(device);
  DataLoader loader(test, {.batch = options.batch_size,
                           .workers = options.workers,
                           .normalization = input.normalization,
                           .device = device});
  const Evaluation result = evaluate(*network.model, loader);
  DS_CHECK(std::isfinite(result.loss), "[eval] {}: the outputs of the network are not finite", options.file);
  return result;
}

}  // namespace ds::apps
