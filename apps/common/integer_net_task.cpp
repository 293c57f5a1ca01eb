#include "apps/common/integer_net_task.h"

#include <nlohmann/json.hpp>

#include "apps/common/task.h"
#include "core/error.h"
#include "core/json.h"
#include "infer/integer_net_file.h"

namespace ds::apps {
namespace {

constexpr const char* kDataset = "deepshift.dataset";
constexpr const char* kClasses = "deepshift.classes";  // JSON

}  // namespace

std::map<std::string, std::string> integer_net_notes(const ModelInput& input) {
  std::map<std::string, std::string> notes = {{kDataset, input.dataset}};
  if (!input.classes.empty()) notes.emplace(kClasses, nlohmann::json(ids_of(input.classes)).dump());
  return notes;
}

std::vector<ClassName> integer_net_classes(const SafetensorsFile& file, const InputChoice& choice,
                                           int64_t classes) {
  const auto found = file.metadata().find(kClasses);
  std::vector<std::string> names;
  try {
    if (found != file.metadata().end()) parse_json(found->second).get_to(names);
  } catch (const nlohmann::json::exception& error) {
    fail("[integer_net] {}: the names of the classes cannot be read: {}", file.path(), error.what());
  }
  DS_CHECK(names.empty() || static_cast<int64_t>(names.size()) == classes,
           "[integer_net] {}: {} names of {} classes", file.path(), names.size(), classes);
  return class_names(choice, names, classes);
}

void check_integer_net_choices(const std::string& file, const std::string& arch, const InputChoice& choice) {
  DS_CHECK(arch.empty() && choice.image_size == 0 && choice.mean.empty() && choice.deviation.empty(),
           "[options] {} is an integer net: it holds its network, the size of its images and their "
           "normalisation (--arch, --image-size, --mean, --std)",
           file);
}

IntegerNetTask load_integer_net_task(const SafetensorsFile& file, const std::string& data,
                                     const InputChoice& choice, bool strict) {
  infer::IntegerNet net = infer::load_integer_net(file);
  std::string dataset = choice.dataset;
  if (dataset.empty()) {
    const auto found = file.metadata().find(kDataset);
    dataset = found == file.metadata().end() ? probable_dataset(net.input()) : found->second;
  }
  const int64_t classes = net.result().shape.numel();
  const int64_t expected = class_count(dataset);
  DS_CHECK(net.result().shape == Shape{expected == 0 ? classes : expected},
           "[integer_net] {} gives {}, expected [{}], the classes of {}", file.path(),
           net.result().shape.str(), expected, dataset);
  Dataset test = load_dataset({.name = dataset,
                               .folder = data,
                               .image_size = net.input()[0],
                               .classes = ids_of(integer_net_classes(file, choice, classes)),
                               .class_count = classes,
                               .strict = strict},
                              Split::kTest);
  DS_CHECK(test.size() > 0, "[data] {}: no test images", data);
  DS_CHECK(test.image_shape() == net.input(), "[integer_net] {} takes images {}, those of {} are {}",
           file.path(), net.input().str(), dataset, test.image_shape().str());
  return {.net = std::move(net), .test = std::move(test)};
}

}  // namespace ds::apps
