// Trains float, DeepShift-Q and DeepShift-PS networks on MNIST.
#include "apps/common/app.h"
#include "apps/common/run.h"

namespace ds::apps {
namespace {

std::function<int()> set_up(CLI::App& app) {
  TrainOptions defaults;
  defaults.dataset = "mnist";
  defaults.arch = "mnist_conv";
  defaults.augment = "none";
  defaults.epochs = 10;
  return set_up_trainer(app, defaults, {"mnist"});
}

}  // namespace
}  // namespace ds::apps

int main(int argc, char** argv) {
  return ds::apps::run({.name = "train_mnist",
                        .description = "Trains float, DeepShift-Q and DeepShift-PS networks on MNIST.",
                        .set_up = ds::apps::set_up},
                       argc, argv);
}
