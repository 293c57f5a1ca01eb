#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "apps/common/app.h"
#include "apps/common/integer_net_task.h"
#include "apps/common/machine.h"
#include "apps/common/model_input.h"
#include "apps/common/network.h"
#include "apps/common/option_table.h"
#include "apps/deepshift/commands.h"
#include "apps/deepshift/input_options.h"
#include "core/error.h"
#include "core/ops.h"
#include "data/image_files.h"
#include "data/image_folder.h"
#include "data/loader.h"
#include "data/resize.h"
#include "infer/cpu/cpu_net.h"
#include "infer/integer_net_file.h"
#include "models/registry.h"

namespace ds::apps {

namespace {

struct ClassifyOptions {
  std::string model;
  std::vector<std::string> files;
  std::string arch;
  InputChoice input;
  int64_t top = 5;
  MachineOptions machine{.threads = 0, .device = "cpu", .engine = {}, .precision = "f32"};
};

/// What answers: a network or an integer net.
struct Classifier {
  Shape image;                                  // H,W,C that it sees
  std::vector<ClassName> classes;               // by label
  std::function<Tensor(const Tensor&)> logits;  // f32 [1,classes] of u8 [1,H,W,C]
};

/// Where nobody has named them, by their labels.
std::vector<ClassName> all_named(const std::vector<ClassName>& classes, int64_t count) {
  if (!classes.empty()) return classes;
  std::vector<std::string> ids;
  name_further_classes(ids, count);
  return class_names({}, ids, count);
}

Classifier make_classifier(const SafetensorsFile& file, const ClassifyOptions& options) {
  if (infer::holds_integer_net(file)) {
    check_integer_net_choices(options.model, options.arch, options.input);
    auto net = std::make_shared<infer::CpuNet>(infer::load_integer_net(file));
    const infer::Node& result = net->net().result();
    const double unit = std::ldexp(1.0, -result.format.fraction_bits);
    const int64_t classes = result.shape.numel();
    return {.image = net->net().input(),
            .classes = all_named(integer_net_classes(file, options.input, classes), classes),
            .logits = [net, unit](const Tensor& image) {
              return ops::affine((*net)(image).to(DType::kF32), unit, 0.0);
            }};
  }
  const Network network = open_network(options.model, {.arch = options.arch});
  const ModelInput input = input_of(network, options.model, options.input);
  network.model->eval();
  const Shape published = models::find(network.info.architecture).input;
  return {.image = {input.image_size, input.image_size, published[2]},
          .classes = all_named(input.classes, network.info.classes),
          .logits = [network, input](const Tensor& image) {
            const NoGrad no_grad;
            DataLoader loader({.images = image, .labels = Tensor::zeros({1}, DType::kI64), .classes = {}},
                              {.batch = 1, .workers = 0, .normalization = input.normalization});
            return (*network.model)((*loader.begin()).images).value();
          }};
}

/// The photograph as the network sees it; one of the network's own size as it is.
Tensor read_framed(const std::string& path, const Shape& shape) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  const bool framed = image_size(bytes, path) == Size2d{shape[0], shape[1]};
  const Framing framing = framing_for(shape[0]);
  const Image image = framed ? decode_image(bytes, path)
                             : decode_resized_center(bytes, path, framing.shorter_side, framing.size);
  return Tensor::from(image.pixels, {1, shape[0], shape[1], shape[2]});
}

void print_answer(const std::string& path, const Classifier& classifier, const Tensor& logits, int64_t top) {
  const auto shares = ops::softmax(logits).to_vector<float>();
  std::vector<size_t> order(shares.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t label) { return shares[label]; });
  fmt::print("{}\n", path);
  for (size_t i = 0; i < std::min(static_cast<size_t>(top), order.size()); ++i) {
    const ClassName& name = classifier.classes[order[i]];
    fmt::print("  {:6.2f} %  {}{}\n", 100.0 * shares[order[i]], name.shown(),
               name.words.empty() ? "" : fmt::format(" ({})", name.id));
  }
}

int classify_files(ClassifyOptions& options) {
  set_up_machine(options.machine);
  const Classifier classifier = make_classifier(SafetensorsFile(options.model), options);
  DS_CHECK(classifier.image[2] == 3, "[classify] {} takes images {}, expected colours, H,W,3", options.model,
           classifier.image.str());
  int unreadable = 0;
  for (const std::string& path : options.files) {
    Tensor image;
    try {
      image = read_framed(path, classifier.image);
    } catch (const Error& error) {
      say(stderr, fmt::format("deepshift: {}\n", error.what()));
      ++unreadable;
      continue;
    }
    const Tensor logits = classifier.logits(image);
    DS_CHECK(std::isfinite(ops::sum_squares(logits)),
             "[classify] {}: the outputs of the network are not finite", options.model);
    print_answer(path, classifier, logits, options.top);
  }
  return unreadable == 0 ? kExitOk : kExitError;
}

}  // namespace

Command classify_command(CLI::App& parent) {
  auto options = std::make_shared<ClassifyOptions>();
  ClassifyOptions& o = *options;
  CLI::App* app =
      parent.add_subcommand("classify", "Says what image files show, by a model or an integer net");
  app->add_option("model", o.model, "model or integer net (deepshift lower), safetensors")->required();
  app->add_option("files", o.files, "images: JPEG, PNG, BMP and others")->required();
  app->add_option("--arch", o.arch, "network (default: what the file says)");
  app->add_option("--top", o.top, "answers an image")->capture_default_str()->check(at_least(1));
  add_input_choice(*app, o.input);
  add_threads(*app, o.machine.threads);
  return {app, [options] { return classify_files(*options); }};
}

}  // namespace ds::apps
