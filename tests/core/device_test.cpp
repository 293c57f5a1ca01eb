#include "core/device.h"

#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/error.h"

namespace ds {
namespace {

TEST(Device, PrintsAndParses) {
  for (const std::string text : {"cpu", "cuda:0", "cuda:3"}) EXPECT_EQ(parse_device(text).str(), text);
  EXPECT_EQ(parse_device("cuda"), parse_device("cuda:0"));
  EXPECT_NE(parse_device("cuda"), Device{});
}

TEST(Device, RejectsOtherText) {
  for (const char* text : {"", "CPU", "gpu", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:99999999999"}) {
    EXPECT_THROW(parse_device(text), Error) << text;
  }
}

TEST(Device, ADeviceThatIsNotThereIsAnError) {
  EXPECT_THROW(backend({.type = DeviceType::kCuda, .index = cuda_device_count()}), Error);
}

TEST(Device, TheCpuHasEveryKernel) {
  const KernelTable& table = kernels(Device{});
#define DS_OP(name, arguments, cuda) EXPECT_NE(table.name, nullptr) << #name;
#include "core/ops.def"
#undef DS_OP
}

TEST(Engine, ParsesItsOwnNames) {
  for (const Engine engine : kEngines) EXPECT_EQ(parse_engine(name_of(engine)), engine);
  try {
    parse_engine("fast");
    FAIL() << "an unknown engine was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("expected one of: reference, openblas"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace ds
