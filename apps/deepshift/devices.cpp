#include <fmt/format.h>

#include "apps/common/app.h"
#include "apps/common/system_info.h"
#include "apps/deepshift/commands.h"
#include "core/backend.h"

namespace ds::apps {

namespace {

int list_devices() {
  const SystemInfo info = system_info();
  const Device best = best_device();
  fmt::print("cpu     {} ({} threads){}\n", info.cpu, info.threads, best == Device{} ? "  default" : "");
  for (int i = 0; i < cuda_device_count(); ++i) {
    const Device device{.type = DeviceType::kCuda, .index = i};
    fmt::print("cuda:{}  {} ({}){}\n", i, cuda::describe_device(i), cuda::description(),
               best == device ? "  default" : "");
  }
  if (cuda_device_count() == 0) {
    fmt::print("cuda    none ({}{}{})\n", cuda::description(), cuda::why_none().empty() ? "" : ": ",
               cuda::why_none());
  }
  return kExitOk;
}

}  // namespace

Command devices_command(CLI::App& parent) {
  return {parent.add_subcommand("devices", "Lists what --device can name"), list_devices};
}

}  // namespace ds::apps
