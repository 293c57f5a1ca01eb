#include "apps/deepshift/input_options.h"

#include "apps/common/option_table.h"
#include "apps/common/task.h"

namespace ds::apps {

void add_dataset(CLI::App& app, std::string& dataset) {
  app.add_option("--dataset", dataset,
                 "data set (default: what the file says, or what goes with the network)")
      ->transform(one_of({"cifar10", "cifar100", "mnist", kImageFolder}));
}

void add_class_names(CLI::App& app, std::string& file) {
  app.add_option(
         "--class-names", file,
         "of photographs: table of the network's classes with columns class_index, wnid and class_name "
         "(default: what the file says)")
      ->check(not_empty());
}

void add_input_choice(CLI::App& app, InputChoice& choice) {
  add_dataset(app, choice.dataset);
  app.add_option("--image-size", choice.image_size,
                 "of photographs, in pixels (default: what the file says, or the network's)")
      ->check(between(1, 4096));
  add_class_names(app, choice.class_names);
  app.add_option(
         "--mean", choice.mean,
         "of pixels in [0, 1] (default: what the file says, or ImageNet's 0.485,0.456,0.406; MNIST: its own)")
      ->expected(1, 3)
      ->delimiter(',')
      ->check(finite());
  app.add_option("--std", choice.deviation,
                 "likewise (default: what the file says, or 0.229,0.224,0.225; MNIST: its own)")
      ->expected(1, 3)
      ->delimiter(',')
      ->check(above_zero());
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads,
                 "compute threads; 0: DEEPSHIFT_THREADS, or as many as processors are allowed")
      ->capture_default_str()
      ->check(between(0, 4096));
}

}  // namespace ds::apps
