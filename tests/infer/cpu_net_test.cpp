#include "infer/cpu/cpu_net.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <thread>

#include "core/cpu/kernels/select.h"
#include "core/parallel.h"
#include "infer/cpu/kernels/select.h"
#include "infer/lower.h"
#include "infer/reference.h"
#include "tests/infer/networks.h"
#include "tests/infer/random_nets.h"
#include "tests/layers/support.h"
#include "tests/support/scoped.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

using infer::CpuNet;
using infer::IntegerNet;
using test::error_of;
using testing::HasSubstr;

class CpuNetKernels : public testing::TestWithParam<const infer::IntegerKernels*> {
 protected:
  /// The integers of the reference, for batches of several sizes and numbers of threads that cut rows
  /// unevenly.
  static void expect_reference(const IntegerNet& net, const Tensor& images, const std::string& what);
};

INSTANTIATE_TEST_SUITE_P(, CpuNetKernels, testing::ValuesIn(infer::available_integer_kernels()),
                         [](const auto& info) { return std::string(info.param->name); });

void CpuNetKernels::expect_reference(const IntegerNet& net, const Tensor& images, const std::string& what) {
  const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
  for (const int threads : {1, 2, 7}) {
    const test::ScopedThreads scope(threads);
    for (infer::CpuNetOptions options :
         {infer::CpuNetOptions{.batch = 1}, {.batch = 3}, {.batch = 2, .shifts_only = true}}) {
      options.kernels = GetParam();
      const CpuNet cpu(net, options);
      ASSERT_EQ(cpu(images).to_vector<int32_t>(), expected)
          << what << ", batch " << options.batch << (options.shifts_only ? ", shifts only, " : ", ")
          << threads << " threads";
    }
  }
}

/// And takes every kind of kernel on the way.
TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForRandomNets) {
  std::string kernels;
  for (int64_t seed = 0; seed < test::trials(200); ++seed) {
    test::RandomNet random(static_cast<uint64_t>(seed));
    const IntegerNet net = random.net();
    expect_reference(net, random.images(4), fmt::format("seed {}\n{}", seed, net.str()));
    if (HasFatalFailure()) return;
    for (const bool shifts_only : {false, true}) {
      const CpuNet cpu(net, {.shifts_only = shifts_only, .kernels = GetParam()});
      for (const infer::CpuStepInfo& step : cpu.steps()) {
        kernels += step.kernel + "\n";
      }
    }
  }
  for (const char* kind : {"bytes", "16-bit words", "input copied", "with its border", "passes",
                           "\nchannels side by side", "\nshifts and additions, channels side by side"}) {
    EXPECT_THAT(kernels, HasSubstr(kind));
  }
  if (GetParam()->isa == cpu::Isa::kGeneric) return;
  for (const char* codes : {"4-bit codes", "2-bit codes"}) EXPECT_THAT(kernels, HasSubstr(codes));
  if (GetParam()->isa == cpu::Isa::kAvx512) {
    EXPECT_THAT(kernels, HasSubstr("dot products of bytes, channels"));
  }
}

TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForNetworks) {
  for (const test::NetworkCase& c : test::network_cases()) {
    const IntegerNet net = test::lowered(c);
    const Shape& image = net.input();
    expect_reference(net, test::random_images(4, image, 3), fmt::format("{}", c.name()));
    if (HasFatalFailure()) return;
  }
}

/// So many that linear layers have several tiles, whose weights some kernels unpack.
TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForManyImagesAtOnce) {
  for (const int bits : {2, 4, 5}) {
    const IntegerNet net = test::lowered({"mnist_fc", ShiftMethod::kQ, bits, 8, 3, 0.0});
    const Tensor images = test::random_images(45, net.input(), 5);
    const CpuNet cpu(net, {.batch = 45, .kernels = GetParam()});
    EXPECT_EQ(cpu(images).to_vector<int32_t>(), infer::run_reference(net, images).to_vector<int32_t>())
        << bits << " bits";
    if (bits == 5) continue;
    const bool unpacks = GetParam()->packed->unpacked.dots != nullptr;
    EXPECT_EQ(cpu.steps().back().kernel.find("unpacked for several tiles") != std::string::npos, unpacks);
  }
}

TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForMixedWidths) {
  const test::NetworkCase c{"resnet20", ShiftMethod::kPs, 5, 8, 3, 0.0};
  const IntegerNet net =
      test::lower_network(test::evaluated(c, {{"conv1", 4}, {"layer1", 3}, {"layer2", 2}, {"layer2.1", 4}}));
  std::set<int> bits;
  for (const infer::Node& node : net.nodes()) {
    if (node.filtered()) bits.insert(node.filters.format.bits);
  }
  EXPECT_EQ(bits, (std::set<int>{2, 3, 4, 5}));
  expect_reference(net, test::random_images(4, net.input(), 3), "mixed");
}

TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForLargeSums) {
  const IntegerNet net = test::net_of_large_sums();
  expect_reference(net, Tensor::full({3, 1, 1, net.input()[2]}, 255.0, DType::kU8), "large sums");
}

TEST_P(CpuNetKernels, GivesTheIntegersOfTheReferenceForLargeTerms) {
  for (const int64_t small_weights : {0, 8}) {
    const IntegerNet net = test::net_of_large_terms(small_weights);
    Tensor images = Tensor::full({3, 1, 1, net.input()[2]}, 255.0, DType::kU8);
    std::fill_n(images.data<uint8_t>() + net.input()[2], 146, uint8_t{0});  // one image of the largest sum
    expect_reference(net, images, "large terms");
    EXPECT_THAT(CpuNet(net, {.shifts_only = true, .kernels = GetParam()}).steps()[2].kernel,
                testing::AllOf(HasSubstr(small_weights == 0 ? "1 pass" : "2 passes"),
                               testing::Not(HasSubstr("64-bit rescaling"))));
  }
}

TEST(IntegerKernels, AreTheBestOfTheInstructionSetInUse) {
  const std::vector<const infer::IntegerKernels*> kernels = infer::available_integer_kernels();
  for (const cpu::Isa isa : cpu::available_isas()) {
    const test::ScopedIsa scope(isa);
    const infer::IntegerKernels& chosen = infer::integer_kernels();
    EXPECT_LE(chosen.isa, isa);
    for (const infer::IntegerKernels* better : kernels) {
      if (better == &chosen) break;
      EXPECT_GT(better->isa, isa) << better->name << " is as fast or faster than " << chosen.name;
    }
  }
}

int64_t bytes_of(const infer::Node& node) {
  return node.shape.numel() * static_cast<int64_t>(size_of(node.format.type));
}

TEST(CpuNet, NeedsAtMostTwiceTheLargestPairOfNeighbours) {
  constexpr int64_t kLine = 64;  // that kernels may read beyond

  for (const test::NetworkCase& c : test::network_cases()) {
    const IntegerNet net = test::lowered(c);
    int64_t largest = 0;
    for (const infer::Node& node : net.nodes()) {
      int64_t bytes = bytes_of(node);
      for (const int input : node.inputs) bytes += bytes_of(net.nodes()[static_cast<size_t>(input)]);
      largest = std::max(largest, bytes);
    }
    EXPECT_LE(CpuNet(net).arena_bytes(), 2 * largest + kLine) << c.name();
  }
}

TEST(CpuNet, RunsInManyThreads) {
  const IntegerNet net = test::lowered(test::network_cases().front());
  const CpuNet cpu(net);
  const Tensor images = test::random_images(2, net.input(), 4);
  const std::vector<int32_t> expected = infer::run_reference(net, images).to_vector<int32_t>();
  std::vector<std::vector<int32_t>> found(3);
  std::vector<std::thread> threads;
  for (auto& result : found) {
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i) result = cpu(images).to_vector<int32_t>();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : found) EXPECT_EQ(result, expected);
}

TEST(CpuNet, RefusesOtherImages) {
  const CpuNet cpu(test::lowered(test::network_cases().front()));
  EXPECT_THAT(error_of([&] { cpu(Tensor::zeros({1, 8, 8, 3}, DType::kU8)); }), HasSubstr("expected u8 [N]"));
  EXPECT_THAT(error_of([&] { cpu(Tensor::zeros({1, 32, 32, 3})); }), HasSubstr("f32"));
  EXPECT_THAT(error_of([&] { CpuNet(cpu.net(), {.batch = 0}); }), HasSubstr("batch is 0"));
}

}  // namespace
}  // namespace ds
