// Trains float, DeepShift-Q and DeepShift-PS networks on MNIST.
#include "apps/common/app.h"
#include "apps/common/run.h"

int main(int argc, char** argv) {
  using namespace ds::apps;
  CLI::App app("Trains float, DeepShift-Q and DeepShift-PS networks on MNIST.", "train_mnist");
  OptionTable table(app);
  TrainOptions options;
  options.dataset = "mnist";
  options.arch = "mnist_conv";
  options.augment = "none";
  options.epochs = 10;
  add_train_options(table, options, {"mnist"});
  return run_app(app, argc, argv, [&] { return run_trainer(table, options, "train_mnist"); });
}
