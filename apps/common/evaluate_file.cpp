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

int64_t batch_size(const EvaluateOptions& options, const Dataset& images) {
  return options.batch_size > 0 ? options.batch_size : evaluation_batch(images.image_shape());
}

Evaluation evaluate_integer_net(const SafetensorsFile& file, const EvaluateOptions& options) {
  check_integer_net_choices(options.file, options.arch, options.input);
  DS_CHECK(!options.activation_bits && !options.activation_rounding,
           "[options] {} is an integer net: it holds the rounding of its activations (--activation-bits, "
           "--activation-rounding)",
           options.file);
  const IntegerNetTask task = load_integer_net_task(file, options.data, options.input, options.strict);
  const infer::CpuNet cpu(task.net, {.batch = kIntegerBatch});
  const int64_t classes = task.net.result().shape.numel();
  Evaluation result;
  if (classes > kFewClasses) result.correct5 = 0;
  const int64_t step = batch_size(options, task.test);
  for (int64_t first = 0; first < task.test.size(); first += step) {
    const Dataset batch = task.test.slice(first, std::min(first + step, task.test.size())).in_memory();
    if (batch.size() == 0) continue;  // none of its images can be read
    const Tensor logits = cpu(batch.images).to(DType::kF64);
    result.total += batch.size();
    result.correct += count_correct(logits, batch.labels);
    if (result.correct5) *result.correct5 += count_in_top(logits, batch.labels, 5);
  }
  report_broken_images(task.test);
  DS_CHECK(result.total > 0, "[eval] {}: none of the {} test images can be read", options.data,
           task.test.size());
  return result;
}

}  // namespace

void check_evaluates_on(const MachineOptions& machine, const std::string& file) {
  const bool on_device = machine.device.starts_with("cuda");
  if (machine.engine.empty() && machine.precision == "f32" && !on_device) return;
  if (!infer::holds_integer_net(SafetensorsFile(file))) return;
  DS_CHECK(!on_device,
           "[options] {} is an integer net, which is evaluated on the CPU; deepshift verify --device {} "
           "compares it with the GPU",
           file, machine.device);
  fail("[options] {} is an integer net, which no float engine runs (--engine, --precision)", file);
}

Evaluation evaluate_file(const EvaluateOptions& options) {
  DS_CHECK(!options.data.empty(), "[options] --data is missing: the folder of the test images");
  if (const SafetensorsFile file(options.file); infer::holds_integer_net(file))
    return evaluate_integer_net(file, options);
  const Network network = open_network(options.file, {.arch = options.arch,
                                                      .activation_bits = options.activation_bits,
                                                      .activation_rounding = options.activation_rounding});
  const ModelInput input = input_of(network, options.file, options.input);
  DatasetChoice choice = input.in(options.data);
  choice.strict = options.strict;
  const Dataset test = load_dataset(choice, Split::kTest);
  const Device device = parse_device(options.device);
  network.model->to(device);
  DataLoader loader(test, {.batch = batch_size(options, test),
                           .workers = options.workers,
                           .normalization = input.normalization,
                           .device = device});
  const Evaluation result = evaluate(*network.model, loader);
  report_broken_images(test);
  DS_CHECK(std::isfinite(result.loss), "[eval] {}: the outputs of the network are not finite", options.file);
  return result;
}

}  // namespace ds::apps
