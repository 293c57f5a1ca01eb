#include "apps/common/system_info.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

#include "apps/common/version.h"
#include "core/backend.h"
#include "core/parallel.h"
#include "data/codecs/jpeg.h"

namespace ds::apps {

namespace {

/// The value of the first line of /proc/cpuinfo that begins with one of the keys.
std::string cpuinfo(std::initializer_list<std::string_view> keys) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    for (const std::string_view key : keys) {
      const size_t colon = line.find(':');
      if (line.starts_with(key) && colon != std::string::npos && colon + 2 <= line.size()) {
        return line.substr(colon + 2);
      }
    }
  }
  return "unknown";
}

std::string interesting_isa() {
  constexpr std::array kInteresting = {"avx",         "avx2",        "fma",         "f16c",     "avx_vnni",
                                       "avx512f",     "avx512bw",    "avx512dq",    "avx512vl", "avx512_vnni",
                                       "avx512_bf16", "avx512_fp16", "avx512_vbmi", "amx_int8", "amx_bf16",
                                       "asimd",       "asimddp",     "i8mm",        "sve",      "bf16"};
  std::istringstream flags(cpuinfo({"flags", "Features"}));
  std::vector<std::string> found;
  for (std::string flag; flags >> flag;) {
    for (const std::string_view name : kInteresting) {
      if (flag == name) found.push_back(flag);
    }
  }
  return fmt::format("{}", fmt::join(found, " "));
}

/// OpenBLAS says which version it is and which kernels it has chosen; other libraries have no such function.
std::string blas_description() {
  using Text = char* (*)();
  const auto config = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  const auto core = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (config == nullptr) return "unknown";
  return fmt::format("{} (kernels for {})", config(), core == nullptr ? "unknown" : core());
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

SystemInfo system_info() {
  SystemInfo info;
  info.version = version();
  info.compiler = compiler();
  for (const Engine known : kEngines) info.engines.emplace_back(name_of(known));
  info.engine = name_of(engine());
  info.kernels = instruction_set();
  info.blas = blas_description();
  info.threads = num_threads();
  info.cpu = cpuinfo({"model name", "Model"});
  info.cpu_isa = interesting_isa();
  info.cuda = fmt::format("{}, {} devices", cuda::description(), cuda_device_count());
  info.jpeg = codecs::has_libjpeg() ? "libjpeg-turbo" : "stb_image";
  return info;
}

std::string describe(const SystemInfo& info) {
  return fmt::format(
      "DeepShift {}\n"
      "  compiler      {}\n"
      "  float engine  {} (compiled in: {})\n"
      "  kernels       {}\n"
      "  BLAS          {}\n"
      "  threads       {}\n"
      "  processor     {}\n"
      "  instructions  {}\n"
      "  CUDA          {}\n"
      "  JPEG          {}\n",
      info.version, info.compiler, info.engine, fmt::join(info.engines, ", "), info.kernels, info.blas,
      info.threads, info.cpu, info.cpu_isa, info.cuda, info.jpeg);
}

}  // namespace ds::apps
