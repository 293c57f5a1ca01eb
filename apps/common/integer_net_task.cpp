#include "apps/common/integer_net_task.h"

#include "apps/common/task.h"
#include "core/error.h"
#include "infer/integer_net_file.h"

namespace ds::apps {

IntegerNetTask load_integer_net_task(const SafetensorsFile& file, const std::string& data,
                                     const InputChoice& choice) {
  infer::IntegerNet net = infer::load_integer_net(file);
  std::string dataset = choice.dataset;
  if (dataset.empty()) {
    const auto found = file.metadata().find(kIntegerNetDataset);
    dataset = found == file.metadata().end() ? choice.default_dataset : found->second;
  }
  DS_CHECK(net.result().shape == Shape{class_count(dataset)},
           "[integer_net] {} gives {}, expected [{}], the classes of {}", file.path(),
           net.result().shape.str(), class_count(dataset), dataset);
  Dataset test = load_dataset(dataset, data, Split::kTest);
  DS_CHECK(test.size() > 0, "[data] {}: no test images", data);
  return {.net = std::move(net), .test = std::move(test)};
}

}  // namespace ds::apps
