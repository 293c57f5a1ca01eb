// Trains float, DeepShift-Q and DeepShift-PS networks on CIFAR-10 and CIFAR-100.
#include "apps/common/app.h"
#include "apps/common/run.h"

namespace ds::apps {
namespace {

std::function<int()> set_up(CLI::App& app) {
  TrainOptions defaults;
  defaults.dataset = "cifar10";
  defaults.arch = "resnet20";
  return set_up_trainer(app, defaults, {"cifar10", "cifar100"});
}

}  // namespace
}  // namespace ds::apps

int main(int argc, char** argv) {
  return ds::apps::run(
      {.name = "train_cifar",
       .description = "Trains float, DeepShift-Q and DeepShift-PS networks on CIFAR-10 and CIFAR-100.",
       .set_up = ds::apps::set_up},
      argc, argv);
}
