// One tool for model files and runs.
#include <fmt/ranges.h>

#include <vector>

#include "apps/common/app.h"
#include "apps/deepshift/commands.h"
#include "core/error.h"

namespace ds::apps {
namespace {

std::function<int()> set_up(CLI::App& app) {
  const std::vector<Command> commands = {import_command(app),  convert_command(app),  lower_command(app),
                                         eval_command(app),    classify_command(app), verify_command(app),
                                         inspect_command(app), bench_command(app),    synthesize_command(app),
                                         compare_command(app), devices_command(app)};
  return [commands] {
    for (const Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
    std::vector<std::string> names;
    names.reserve(commands.size());
    for (const Command& command : commands) names.push_back(command.app->get_name());
    fail("expects a command: {} (see deepshift --help)", fmt::join(names, ", "));
  };
}

}  // namespace
}  // namespace ds::apps

int main(int argc, char** argv) {
  return ds::apps::run(
      {.name = "deepshift",
       .description = "Works on model files whose weights are powers of two, and on training runs.",
       .set_up = ds::apps::set_up},
      argc, argv);
}
