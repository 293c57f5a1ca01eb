// Trains float, DeepShift-Q and DeepShift-PS networks on CIFAR-10 and CIFAR-100.
#include "apps/common/app.h"
#include "apps/common/run.h"

int main(int argc, char** argv) {
  using namespace ds::apps;
  CLI::App app("Trains float, DeepShift-Q and DeepShift-PS networks on CIFAR-10 or CIFAR-100.",
               "train_cifar");
  OptionTable table(app);
  TrainOptions options;
  options.dataset = "cifar10";
  options.arch = "resnet20";
  add_train_options(table, options, {"cifar10", "cifar100"});
  return run_app(app, argc, argv, [&] { return run_trainer(table, options, "train_cifar"); });
}
