// Training on a CUDA device: the same course as on the CPU, and equal bits from run to run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "autograd/functions.h"
#include "autograd/optim/sgd.h"
#include "autograd/tape.h"
#include "core/backend.h"
#include "core/ops.h"
#include "core/random.h"
#include "data/loader.h"
#include "data/synthetic.h"
#include "layers/convert.h"
#include "models/registry.h"

namespace ds {
namespace {

constexpr Device kCuda{.type = DeviceType::kCuda};

struct Course {
  std::vector<double> losses;
  std::vector<Tensor> parameters;
};

/// Some steps over the same few images.
Course train(const std::string& arch, ShiftMethod method, Device device) {
  manual_seed(1);
  const ModulePtr model = models::make(arch);
  convert_to_shift(*model, {.method = method, .weight_bits = 5});
  model->to(device);
  Generator generator(2);
  Tensor images = Tensor::empty({16, 32, 32, 3});
  fill_normal(images, 0.0, 1.0, generator);
  std::vector<int64_t> labels(16);
  for (int64_t& label : labels) label = generator.below(10);
  const Tensor targets = Tensor::from(labels, {16}).to(device);
  const Tensor inputs = images.to(device);
  Sgd optimizer(model->parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
  Course course;
  for (int step = 0; step < 4; ++step) {
    optimizer.zero_grad();
    Variable loss = cross_entropy((*model)(inputs), targets);
    course.losses.push_back(loss.item());
    loss.backward();
    optimizer.step();
  }
  for (const Variable& parameter : model->parameters())
    course.parameters.push_back(parameter.value().to(Device{}));
  return course;
}

class CudaTraining : public testing::TestWithParam<std::pair<const char*, ShiftMethod>> {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_P(CudaTraining, TakesTheCourseOfTheCpu) {
  const auto [arch, method] = GetParam();
  const Course cpu = train(arch, method, Device{});
  const Course cuda = train(arch, method, kCuda);
  EXPECT_NEAR(cuda.losses[0], cpu.losses[0], 1e-4);
  for (size_t i = 1; i < cpu.losses.size(); ++i) EXPECT_NEAR(cuda.losses[i], cpu.losses[i], 0.05);
}

TEST_P(CudaTraining, GivesEqualBitsEachTime) {
  const auto [arch, method] = GetParam();
  const Course first = train(arch, method, kCuda);
  const Course second = train(arch, method, kCuda);
  EXPECT_EQ(first.losses, second.losses);
  for (size_t i = 0; i < first.parameters.size(); ++i) {
    EXPECT_EQ(std::memcmp(first.parameters[i].raw(), second.parameters[i].raw(), first.parameters[i].bytes()),
              0);
  }
}

/// Batches that workers upload while the device computes hold what the data set holds.
TEST(CudaLoader, UploadsBatchesBesideOtherWork) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const Dataset dataset = make_synthetic({.train = 500, .test = 10, .seed = 3}).train;
  const LoaderOptions options{.batch = 64, .shuffle = true, .seed = 5, .workers = 3};
  LoaderOptions on_device = options;
  on_device.device = kCuda;
  DataLoader expected(dataset, options);
  DataLoader found(dataset, on_device);
  const Tensor weight = Tensor::full({3072, 64}, 0.5, DType::kF32, kCuda);
  for (int epoch = 0; epoch < 2; ++epoch) {
    expected.start(epoch);
    found.start(epoch);
    Batch on_cpu;
    Batch on_cuda;
    while (expected.next(on_cpu)) {
      ASSERT_TRUE(found.next(on_cuda));
      const int64_t rows = on_cuda.images.size(0);
      for (int i = 0; i < 20; ++i)
        ops::gemm(on_cuda.images.reshape({rows, 3072}), weight);  // results are given back
      EXPECT_EQ(on_cuda.images.to_vector<float>(), on_cpu.images.to_vector<float>());
      EXPECT_EQ(on_cuda.labels.to_vector<int64_t>(), on_cpu.labels.to_vector<int64_t>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, CudaTraining,
                         testing::Values(std::pair{"resnet20", ShiftMethod::kQ},
                                         std::pair{"resnet20", ShiftMethod::kPs},
                                         std::pair{"mobilenet_v2_cifar", ShiftMethod::kQ}));

}  // namespace
}  // namespace ds
