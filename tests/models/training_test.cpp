// The whole way through the public interface, as a program would go it: train a shift network, evaluate,
// save, load.
#include <gtest/gtest.h>

#include "ds.h"
#include "tests/support/scoped.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

TEST(PublicInterface, TrainsAShiftNetworkAndKeepsIt) {
  const test::TemporaryFolder folder;
  const SyntheticData drawn = make_synthetic({.train = 64, .test = 32});
  write_cifar10(folder.path(), drawn.train, drawn.test);

  manual_seed(1);
  const Device device = best_device();
  DataLoader train(
      cifar10(folder.path(), Split::kTrain),
      {.batch = 16, .shuffle = true, .device = device, .augment = {random_crop(32, 4), random_flip()}});
  DataLoader test(cifar10(folder.path(), Split::kTest), {.batch = 32, .device = device});

  auto net = models::resnet20({.classes = 10});
  convert_to_shift(*net, {.method = ShiftMethod::kQ, .weight_bits = 5});
  net->to(device);

  Sgd optimizer(net->parameters(), {.lr = 0.005, .momentum = 0.9, .weight_decay = 5e-4});
  CosineSchedule schedule(optimizer, {.epochs = 3, .warmup_epochs = 1});
  std::vector<double> losses;  // of each epoch
  for (int epoch = 0; epoch < 3; ++epoch) {
    losses.push_back(0.0);
    for (const auto& [images, labels] : train) {
      const Variable loss = cross_entropy((*net)(images), labels);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      losses.back() += loss.item() / static_cast<double>(train.batches());
    }
    schedule.step();
  }
  EXPECT_LT(losses.back(), losses.front());
  EXPECT_EQ(optimizer.steps(), 12);

  const std::string path = folder / "resnet20_q5.safetensors";
  save_model(path, *net, {.architecture = "resnet20", .classes = 10});
  const SafetensorsFile file(path);
  const ModulePtr loaded = models::make(read_model_info(file).architecture);
  load_model(file, *loaded);
  const Evaluation before = evaluate(*net, test);
  const Evaluation after = evaluate(*loaded, test);
  EXPECT_EQ(after.correct, before.correct);
  EXPECT_EQ(after.loss, before.loss);
  for (const NamedLayer& named : weighted_layers(*loaded)) {
    const Weight& weight = named.layer->weight();
    ASSERT_EQ(weight.describe(), "shift-q 5 bits") << named.path;
    EXPECT_NO_THROW(pack(weight.rounded().to_vector<float>(), *weight.format())) << named.path;
  }
}

// Of one thread: how many scratch buffers several threads hold at a time is a matter of chance.
TEST(PublicInterface, ASteadyStepAsksTheSystemForNoMemory) {
  const test::ScopedThreads one(1);
  manual_seed(1);
  auto net = models::resnet20({.classes = 10});
  convert_to_shift(*net, {.method = ShiftMethod::kPs, .weight_bits = 4});
  Sgd optimizer(net->parameters(), {.lr = 0.005, .momentum = 0.9});
  const Tensor images = Tensor::full({8, 32, 32, 3}, 0.5);
  const Tensor labels = Tensor::zeros({8}, DType::kI64);
  const auto step = [&] {
    optimizer.zero_grad();
    cross_entropy((*net)(images), labels).backward();
    optimizer.step();
  };
  for (int i = 0; i < 2; ++i) step();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 3; ++i) step();
  const MemoryStats after = memory_stats();
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_EQ(after.in_use, before.in_use);
}

TEST(PublicInterface, RecomputedBlocksNeedLessMemory) {
  const auto peak = [](bool recomputed) {
    manual_seed(1);
    auto net = models::resnet20({.classes = 10});
    recompute_blocks(*net, recomputed);
    const Tensor images = Tensor::full({32, 32, 32, 3}, 0.5);
    reset_peak_memory();
    const auto before = static_cast<double>(memory_stats().in_use);
    cross_entropy((*net)(images), Tensor::zeros({32}, DType::kI64)).backward();
    return static_cast<double>(memory_stats().peak_in_use) - before;
  };
  EXPECT_LT(peak(true), 0.6 * peak(false));
}

}  // namespace
}  // namespace ds
