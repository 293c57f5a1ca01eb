// One tool for model files and runs.
#include <fmt/format.h>

#include <vector>

#include "apps/common/app.h"
#include "apps/common/system_info.h"
#include "apps/deepshift/commands.h"

int main(int argc, char** argv) {
  using namespace ds::apps;
  CLI::App app("Works on model files whose weights are powers of two, and on training runs.", "deepshift");
  app.set_version_flag(
      "--version", [] { return describe(system_info()); }, "Says what is compiled in and in use");
  app.require_subcommand(1);
  const std::vector<Command> commands = {convert_command(app),    eval_command(app),    inspect_command(app),
                                         synthesize_command(app), compare_command(app), devices_command(app)};
  return run_app(app, argc, argv, [&] {
    for (const Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
    return kExitError;
  });
}
