// Trains float, DeepShift-Q and DeepShift-PS networks on photographs in folders, as ImageNet's.
#include "apps/common/app.h"
#include "apps/common/run.h"
#include "apps/common/task.h"

namespace ds::apps {
namespace {

std::function<int()> set_up(CLI::App& app) {
  TrainOptions defaults;
  defaults.dataset = kImageFolder;
  defaults.arch = "resnet18";
  return set_up_trainer(app, defaults, {kImageFolder});
}

}  // namespace
}  // namespace ds::apps

int main(int argc, char** argv) {
  return ds::apps::run(
      {.name = "train_imagenet",
       .description = "Trains float, DeepShift-Q and DeepShift-PS networks on photographs in folders: "
                      "DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg.",
       .set_up = ds::apps::set_up},
      argc, argv);
}
