#include "core/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/ops.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using ::testing::HasSubstr;

Tensor ones(const Shape& shape) { return Tensor::full(shape, 1.0); }

std::vector<std::string> names_of(const std::vector<OpProfile>& ops) {
  std::vector<std::string> names;
  for (const OpProfile& op : ops) names.emplace_back(op.name);
  return names;
}

OpProfile find(const std::string& name) {
  for (const OpProfile& op : profile()) {
    if (op.name == name) return op;
  }
  return {};
}

TEST(Profile, CountsCallsWorkAndBytesWhileItIsTaken) {
  const Tensor x = ones({2, 8, 8, 3});
  const Tensor w = ones({4, 3, 3, 3});
  ops::affine(x, 2.0, 0.0);
  start_profile();
  EXPECT_NE(profiled_kernels(), nullptr);
  ops::conv2d(x, w, {}, {.padding = 1});
  ops::conv2d(x, w, {}, {.padding = 1});
  ops::affine(x, 2.0, 0.0);
  stop_profile();
  ops::affine(x, 2.0, 0.0);
  EXPECT_EQ(profiled_kernels(), nullptr);
  EXPECT_THAT(names_of(profile()), ::testing::UnorderedElementsAre("conv2d", "affine"));
  const OpProfile conv = find("conv2d");
  EXPECT_EQ(conv.calls, 2);
  EXPECT_EQ(conv.flops, 2 * 2.0 * (2 * 8 * 8) * (4 * 3 * 3 * 3));
  EXPECT_EQ(conv.bytes, 2 * 4.0 * (2 * 8 * 8 * 3 + 4 * 3 * 3 * 3 + 2 * 8 * 8 * 4));
  EXPECT_GT(conv.seconds, 0.0);
  EXPECT_EQ(find("affine").calls, 1);
  EXPECT_EQ(find("affine").flops, 0.0);
}

TEST(Profile, WhatAKernelCallsBelongsToItsCaller) {
  start_profile();
  ops::conv2d_backward_weight(Tensor::empty({0, 6, 6, 2}), Tensor::empty({0, 8, 8, 3}), {2, 3, 3, 3}, {});
  stop_profile();
  EXPECT_THAT(names_of(profile()), ::testing::ElementsAre("conv2d_backward_weight"));
}

TEST(Profile, StartsAnew) {
  start_profile();
  ops::affine(ones({4}), 2.0, 0.0);
  start_profile();
  stop_profile();
  EXPECT_TRUE(profile().empty());
}

TEST(Profile, MatrixProductsCountTheirInnerSize) {
  start_profile();
  ops::gemm(ones({3, 5}), ones({3, 7}), {.transpose_a = true});
  stop_profile();
  EXPECT_EQ(find("gemm").flops, 2.0 * 5 * 7 * 3);
}

TEST(Profile, ReportsRatesAndPlans) {
  start_profile();
  ops::conv2d(ones({1, 5, 5, 3}), ones({4, 3, 3, 3}), {}, {});
  const std::string report = profile_report();
  EXPECT_THAT(report, HasSubstr("GFLOP/s"));
  EXPECT_THAT(report, HasSubstr("everything else"));
  EXPECT_THAT(report, HasSubstr("forward x [1, 5, 5, 3], w [4, 3, 3, 3]"));
  EXPECT_EQ(report.find("nan"), std::string::npos);
}

TEST(Profile, TracesTheFirstCalls) {
  const test::TemporaryFolder folder;
  start_profile(2);
  for (int i = 0; i < 5; ++i) ops::affine(ones({4, 2}), 2.0, 0.0);
  stop_profile();
  write_profile_trace(folder / "trace.json");
  std::ifstream file(folder / "trace.json");
  const auto events = nlohmann::json::parse(file).at("traceEvents");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].at("ph"), "X");
  EXPECT_GE(events[1].at("ts").get<double>(), events[0].at("ts").get<double>());
}

}  // namespace
}  // namespace ds
